def flask_next():
    # ruleid: securetag.python.open-redirect
    return redirect(request.args["next"])


def django_next(request):
    # ruleid: securetag.python.open-redirect
    return HttpResponseRedirect(request.GET.get("next", "/"))


class Tornado:
    def get(self):
        # ruleid: securetag.python.open-redirect
        self.redirect(self.get_argument("next"))


async def aiohttp_next(request):
    # ruleid: securetag.python.open-redirect
    raise web.HTTPFound(request.query["next"])


def header():
    # ruleid: securetag.python.open-redirect
    response.headers["Location"] = request.args["next"]


def checked_is_reported_too():
    target = request.args["next"]
    if not target.startswith("/"):
        target = "/"
    # ruleid: securetag.python.open-redirect
    return redirect(target)


def fixed():
    # ok: securetag.python.open-redirect
    return redirect("/basket")


def choice():
    # ok: securetag.python.open-redirect
    return redirect("/es" if request.args.get("lang") == "es" else "/en")
