def page(request, name):
    if name:
        # ruleid: securetag.python.response-not-constant
        return HttpResponse(f"Hello {name}")
    # Guarded code is reported all the same.
    # ruleid: securetag.python.response-not-constant
    return make_response(escape(name))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        # ruleid: securetag.python.response-not-constant
        self.wfile.write(self.path.encode())


def near(name):
    # ok: securetag.python.response-not-constant
    make_response("Hello")
    # ok: securetag.python.response-not-constant
    make_response(render_template("page.html", name=name))
    # ok: securetag.python.response-not-constant
    make_response({"name": name})
    # ok: securetag.python.response-not-constant
    return Response(json.dumps(name))
