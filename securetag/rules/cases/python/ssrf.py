import requests
import urllib.request


def get():
    # ruleid: securetag.python.ssrf
    return requests.get(request.args["url"], timeout=5).text


def open_url(request):
    # ruleid: securetag.python.ssrf
    return urllib.request.urlopen("https://" + request.GET["host"] + "/status").read()


async def client_object(request):
    async with httpx.AsyncClient() as client:
        # ruleid: securetag.python.ssrf
        return await client.get(request.query_params["url"])


async def aiohttp_session(request):
    async with aiohttp.ClientSession() as session:
        # ruleid: securetag.python.ssrf
        return await session.get(request.query["url"])


def listed_is_reported_too():
    url = request.args["url"]
    if urlparse(url).hostname not in HOSTS:
        abort(400)
    # ruleid: securetag.python.ssrf
    return httpx.get(url)


def any_method():
    # ruleid: securetag.python.ssrf
    return requests.request("GET", request.form["url"])


def fixed_address():
    # ok: securetag.python.ssrf
    return requests.get("https://stock.example.test", params={"q": request.args["q"]})


def cookie_of_the_session():
    # ok: securetag.python.ssrf
    return basket.get(request.args["key"])
