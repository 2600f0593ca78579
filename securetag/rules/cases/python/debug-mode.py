# ruleid: securetag.python.debug-mode
app.run(host="127.0.0.1", debug=True)

# ruleid: securetag.python.debug-mode
DEBUG = True

# ok: securetag.python.debug-mode
app.run(debug=settings.debug)

# ok: securetag.python.debug-mode
DEBUG = False
