import hashlib


def store(password):
    # ruleid: securetag.python.password-fast-hash
    return hashlib.sha256(password.encode()).hexdigest()


def salted(salt, user_password):
    # ruleid: securetag.python.password-fast-hash
    return hashlib.sha512((salt + user_password).encode()).hexdigest()


def slow(password, salt):
    # ok: securetag.python.password-fast-hash
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def file_digest(content):
    # ok: securetag.python.password-fast-hash
    return hashlib.sha256(content.encode()).hexdigest()
