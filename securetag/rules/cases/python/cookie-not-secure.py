def answer(response, value, options):
    # ruleid: securetag.python.cookie-not-secure
    response.set_cookie("name", value)
    # ruleid: securetag.python.cookie-not-secure
    response.set_cookie("name", value, httponly=True)
    # ok: securetag.python.cookie-not-secure
    response.set_cookie("name", value, secure=True)
    # ok: securetag.python.cookie-not-secure
    response.set_cookie("name", value, **options)


def near(jar, cookie):
    # ok: securetag.python.cookie-not-secure
    jar.set_cookie(cookie)
