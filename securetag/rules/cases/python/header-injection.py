def answer(request, response):
    # ruleid: securetag.python.header-injection
    response.headers["X-Name"] = request.args["name"]
    name = request.cookies["name"]
    # ruleid: securetag.python.header-injection
    response.set_cookie("name", name)
    # Guarded code is reported all the same.
    # ruleid: securetag.python.header-injection
    response.headers["X-Name"] = name.replace("\n", "")


def near(user, response):
    # ok: securetag.python.header-injection
    response.headers["X-Name"] = user.name
    # ok: securetag.python.header-injection
    response.set_cookie("name", "a")
