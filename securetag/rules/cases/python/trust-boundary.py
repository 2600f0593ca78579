def log_in(request):
    # ruleid: securetag.python.trust-boundary
    session["name"] = request.args["name"]
    name = request.form["name"]
    # ruleid: securetag.python.trust-boundary
    request.session["name"] = name
    # Guarded code is reported all the same.
    if name in NAMES:
        # ruleid: securetag.python.trust-boundary
        session["name"] = name


def near(user, request):
    # ok: securetag.python.trust-boundary
    session["name"] = user.name
    # ok: securetag.python.trust-boundary
    table["name"] = request.args["name"]
