def go(request, target):
    if target:
        # ruleid: securetag.python.redirect-not-constant
        return redirect(target)
    # ruleid: securetag.python.redirect-not-constant
    response.headers["Location"] = target
    # Guarded code is reported all the same.
    if url_has_allowed_host_and_scheme(target):
        # ruleid: securetag.python.redirect-not-constant
        return HttpResponseRedirect(target)


def near(name):
    # ok: securetag.python.redirect-not-constant
    redirect("/home")
    # ok: securetag.python.redirect-not-constant
    redirect(url_for("home", name=name))
    # ok: securetag.python.redirect-not-constant
    return redirect(LOGIN_URL)
    # ok: securetag.python.redirect-not-constant
    redirect(get_url(security.login_error_view, params={"code": name}))
    # ok: securetag.python.redirect-not-constant
    redirect(app_url("index") or url_of("home"))
    # ok: securetag.python.redirect-not-constant
    redirect(get_url(config("AFTER_LOGIN")))
    # ruleid: securetag.python.redirect-not-constant
    redirect(get_url(name.next_page_after))
    # ruleid: securetag.python.redirect-not-constant
    redirect(get_url(site.start_page, request.args["next"]))
    # ruleid: securetag.python.redirect-not-constant
    return redirect(get_post_login_redirect())
