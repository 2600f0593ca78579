def clean(text):
    # ruleid: securetag.python.markup-removed
    scripts = re.sub(r"<script[^>]*>.*?</script>", "", text)
    # ruleid: securetag.python.markup-removed
    handlers = re.sub(r"on\w+=\"[^\"]*\"", "", text)
    # Escaped afterwards: reported all the same.
    # ruleid: securetag.python.markup-removed
    escaped = html.escape(text.replace("<script>", ""))
    # The end of a script in a text of JSON.
    # ok: securetag.python.markup-removed
    ended = text.replace("</script>", "<\\/script>")
    # ok: securetag.python.markup-removed
    words = re.sub(r"only \w+", "", text)
    # ok: securetag.python.markup-removed
    return scripts, handlers, escaped, ended, words, text.replace("<", "&lt;")
