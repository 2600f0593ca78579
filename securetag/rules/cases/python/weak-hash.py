import hashlib


def checksum(data):
    # ruleid: securetag.python.weak-hash
    return hashlib.md5(data).hexdigest()


def by_name(data):
    # ruleid: securetag.python.weak-hash
    return hashlib.new("sha1", data).hexdigest()


def strong(data):
    # ok: securetag.python.weak-hash
    return hashlib.sha256(data).hexdigest()


def cache_key(data):
    # ok: securetag.python.weak-hash
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
