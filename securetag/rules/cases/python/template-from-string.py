def page(env, text, name):
    # ruleid: securetag.python.template-from-string
    env.from_string(text).render()
    # ruleid: securetag.python.template-from-string
    render_template_string(f"Hello {name}")
    # ruleid: securetag.python.template-from-string
    jinja2.Template(text)
    # Guarded code is reported all the same.
    # ruleid: securetag.python.template-from-string
    SandboxedEnvironment().from_string(text)


def near(env, name):
    # ok: securetag.python.template-from-string
    env.from_string("Hello {{ name }}").render(name=name)
    # ok: securetag.python.template-from-string
    string.Template(name)
