import jinja2

# ruleid: securetag.python.autoescape-off
plain = jinja2.Environment(loader=LOADER)

# ruleid: securetag.python.autoescape-off
off = jinja2.Environment(loader=LOADER, autoescape=False)

# ok: securetag.python.autoescape-off
on = jinja2.Environment(loader=LOADER, autoescape=jinja2.select_autoescape())
