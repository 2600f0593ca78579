def page(name, link):
    # ruleid: securetag.python.html-in-code
    text = f"<b>{name}</b>"
    # ruleid: securetag.python.html-in-code
    text += '<a href="%s">go</a>' % link
    # ruleid: securetag.python.html-in-code
    text += "<li>{}</li>".format(name)
    # Guarded code is reported all the same.
    # ruleid: securetag.python.html-in-code
    return text + f"<p>{escape(name)}</p>"


def near(name, low, high):
    # ok: securetag.python.html-in-code
    print(f"{low} < {name} and {high} > 1")
    # ok: securetag.python.html-in-code
    raise ValueError(f"<{name}> is wrong <b>")


def constant():
    # ok: securetag.python.html-in-code
    return "<b>name</b>"


class Thing:
    def __repr__(self):
        # ok: securetag.python.html-in-code
        return f"<Thing {self.name}>"
