@app.route("/hello")
def flask_string():
    # ruleid: securetag.python.xss
    return "<h1>Hello " + request.args["name"] + "</h1>"


def built_before():
    name = request.args.get("name", "")
    page = f"<p>{name}</p>"
    # ruleid: securetag.python.xss
    return page


def response_object():
    # ruleid: securetag.python.xss
    return make_response("Not found: " + request.args["q"], 404)


def django_response(request):
    # ruleid: securetag.python.xss
    return HttpResponse("<b>%s</b>" % request.GET["q"])


class Tornado:
    def get(self):
        # ruleid: securetag.python.xss
        self.write("<p>" + self.get_argument("q") + "</p>")


async def aiohttp_answer(request):
    # ruleid: securetag.python.xss
    return web.Response(text="<p>" + request.query["q"] + "</p>", content_type="text/html")


def falcon_answer(req, resp):
    # ruleid: securetag.python.xss
    resp.text = "<p>" + req.params["q"] + "</p>"


def escaped_is_reported_too():
    # ruleid: securetag.python.xss
    return Markup("<p>" + escape(request.args["q"]) + "</p>")


@app.route("/plain/<name>")
def no_markup_of_its_own(name):
    # ruleid: securetag.python.xss
    return f"Hello {name}"


@app.route("/api")
def json_answer():
    # ok: securetag.python.xss
    return jsonify(name=request.args["name"])


@app.route("/page")
def template():
    # ok: securetag.python.xss
    return render_template("page.html", name=request.args["name"])


@app.route("/fixed")
def constant():
    # ok: securetag.python.xss
    return "<h1>Hello</h1>"


def not_an_answer():
    name = request.args["name"]
    # ok: securetag.python.xss
    return name
