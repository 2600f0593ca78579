import os
from pathlib import Path


def read():
    # ruleid: securetag.python.path-traversal
    return open("reports/" + request.args["name"]).read()


def joined(request):
    path = os.path.join(BASE, request.GET["name"])
    # ruleid: securetag.python.path-traversal
    os.remove(path)


def pathlib():
    # ruleid: securetag.python.path-traversal
    return (Path(BASE) / request.args["name"]).read_text()


def download():
    # ruleid: securetag.python.path-traversal
    return send_file(os.path.join(BASE, request.args["name"]))


def checked_is_reported_too():
    path = os.path.realpath(os.path.join(BASE, request.args["name"]))
    if not path.startswith(BASE + os.sep):
        abort(404)
    # ruleid: securetag.python.path-traversal
    return send_file(path)


def safe_helper_is_reported_too():
    # ruleid: securetag.python.path-traversal
    return send_from_directory(BASE, request.args["name"])


def upload():
    file = request.files["photo"]
    # ruleid: securetag.python.path-traversal
    file.save(os.path.join(BASE, file.filename))


def copied():
    # ruleid: securetag.python.path-traversal
    shutil.copyfile("a.txt", request.form["to"])


def constant():
    # ok: securetag.python.path-traversal
    return open("reports/index.txt").read()


def content_not_path():
    # ok: securetag.python.path-traversal
    Path("notes.txt").write_text(request.form["note"])


def mode():
    # ok: securetag.python.path-traversal
    return open("notes.txt", request.args["mode"])
