def below(name):
    # ruleid: securetag.python.parent-folder-removed
    once = name.replace("../", "")
    # ruleid: securetag.python.parent-folder-removed
    each = re.sub(r"\.\./", "", name)
    # ok: securetag.python.parent-folder-removed
    start = name.lstrip("../")
    # Checked afterwards: reported all the same.
    # ruleid: securetag.python.parent-folder-removed
    checked = inside(name.replace("../", ""))
    # All steps at the beginning, and all pairs of dots: nothing new comes of what remains.
    # ok: securetag.python.parent-folder-removed
    steps = re.sub(r"^(\.\./)+", "", os.path.normpath(name))
    # ok: securetag.python.parent-folder-removed
    dots = name.replace("..", "")
    # ok: securetag.python.parent-folder-removed
    return once, each, start, checked, steps, dots, name.replace("./", "")
