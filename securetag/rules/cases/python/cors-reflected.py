def answer(request, response):
    # ruleid: securetag.python.cors-reflected
    response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
    # Guarded code is reported all the same.
    if request.META["HTTP_ORIGIN"] in ORIGINS:
        # ruleid: securetag.python.cors-reflected
        response["Access-Control-Allow-Origin"] = request.META["HTTP_ORIGIN"]


def near(response, request):
    # ok: securetag.python.cors-reflected
    response.headers["Access-Control-Allow-Origin"] = "https://example.com"
    # ok: securetag.python.cors-reflected
    response.headers["X-Origin"] = request.headers["Origin"]
