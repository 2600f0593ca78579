def greeting():
    # ruleid: securetag.python.template-injection
    return render_template_string("Hello " + request.args["name"])


def from_environment(request):
    # ruleid: securetag.python.template-injection
    return environment.from_string(request.GET["template"]).render()


def class_call():
    source = f"<h1>{request.form['title']}</h1>"
    # ruleid: securetag.python.template-injection
    return Template(source).render()


def variable():
    # ok: securetag.python.template-injection
    return render_template_string("Hello {{ name }}", name=request.args["name"])


def standard_library():
    # ok: securetag.python.template-injection
    return string.Template(request.args["t"]).substitute(a=1)


def file_on_disk():
    # ok: securetag.python.template-injection
    return render_template("greeting.html", name=request.args["name"])
