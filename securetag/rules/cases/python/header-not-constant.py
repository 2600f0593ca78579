def answer(response, name):
    # ruleid: securetag.python.header-not-constant
    response.headers["X-Name"] = name
    # ruleid: securetag.python.header-not-constant
    response.set_cookie("name", name)
    # ruleid: securetag.python.header-not-constant
    self.send_header("X-Name", f"{name}")
    # Guarded code is reported all the same.
    # ruleid: securetag.python.header-not-constant
    response.headers["X-Name"] = name.replace("\n", "")


def near(response, body):
    # ok: securetag.python.header-not-constant
    response.headers["X-Name"] = "a"
    # ok: securetag.python.header-not-constant
    self.send_header("Content-Length", str(len(body)))
    # ok: securetag.python.header-not-constant
    table["X-Name"] = body
