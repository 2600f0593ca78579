def read(name, folder, *, other=None):
    # ruleid: securetag.python.path-from-parameter
    open(name)
    path = os.path.join(folder, "a")
    # ruleid: securetag.python.path-from-parameter
    os.remove(path)
    # ruleid: securetag.python.path-from-parameter
    shutil.unpack_archive(other, "out")
    # Guarded code is reported all the same.
    if Path(name).is_relative_to(folder):
        # ruleid: securetag.python.path-from-parameter
        return Path(name).read_text()


def unpack(archive):
    for info in zipfile.ZipFile("a.zip").infolist():
        # ruleid: securetag.python.path-from-parameter
        open(info.filename, "wb")


def near(name, mode):
    # ok: securetag.python.path-from-parameter
    open("settings.toml")
    # ok: securetag.python.path-from-parameter
    open(Path(__file__).parent / "data.json", mode)
    # ok: securetag.python.path-from-parameter
    return name.replace("a", "b")


class Archive:
    def __init__(self, name):
        # ok: securetag.python.path-from-parameter
        self.file = open(name, "rb")

    def extract(self, name):
        # ruleid: securetag.python.path-from-parameter
        return open(os.path.join(self.folder, name), "wb")
