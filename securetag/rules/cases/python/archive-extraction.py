import tarfile
import zipfile


def restore(path, folder):
    with tarfile.open(path) as archive:
        # ruleid: securetag.python.archive-extraction
        archive.extractall(folder)


def older(path, folder):
    archive = tarfile.open(path)
    # ruleid: securetag.python.archive-extraction
    archive.extractall(folder)


def filtered(path, folder):
    with tarfile.open(path) as archive:
        # ok: securetag.python.archive-extraction
        archive.extractall(folder, filter="data")


def zipped(path, folder):
    with zipfile.ZipFile(path) as archive:
        # ok: securetag.python.archive-extraction
        archive.extractall(folder)
