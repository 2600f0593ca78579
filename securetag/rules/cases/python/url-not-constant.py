def call(url, name, session):
    # ruleid: securetag.python.url-not-constant
    requests.get(url)
    # ruleid: securetag.python.url-not-constant
    session.post(f"{url}/items")
    # ruleid: securetag.python.url-not-constant
    urllib.request.urlopen(url)
    # ruleid: securetag.python.url-not-constant
    httpx.request("GET", url)
    # Guarded code is reported all the same.
    if urlparse(url).hostname in ALLOWED:
        # ruleid: securetag.python.url-not-constant
        requests.get(url=url)


def near(name, session):
    # ok: securetag.python.url-not-constant
    requests.get("https://example.com/items")
    # ok: securetag.python.url-not-constant
    requests.get(f"https://example.com/items/{name}")
    # ok: securetag.python.url-not-constant
    requests.get(API_URL)
    # ok: securetag.python.url-not-constant
    settings.get(name)
