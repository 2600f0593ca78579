def page(name):
    # ruleid: securetag.python.markup-not-constant
    text = Markup(name)
    # ruleid: securetag.python.markup-not-constant
    text += mark_safe("<br>" + name)
    # ruleid: securetag.python.markup-not-constant
    text += format_html(f"<b>{name}</b>")
    # Guarded code is reported all the same.
    # ruleid: securetag.python.markup-not-constant
    return mark_safe(escape(name))


def near(name):
    # ok: securetag.python.markup-not-constant
    text = mark_safe("<br>")
    # ok: securetag.python.markup-not-constant
    text += mark_safe(LINE_BREAK)
    # ok: securetag.python.markup-not-constant
    return format_html("<b>{}</b>", name)
