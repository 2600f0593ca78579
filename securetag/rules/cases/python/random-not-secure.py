def numbers():
    # ruleid: securetag.python.random-not-secure
    a = random.random()
    # ruleid: securetag.python.random-not-secure
    b = random.triangular(1, 2)
    # ruleid: securetag.python.random-not-secure
    c = uuid.uuid1()
    # ok: securetag.python.random-not-secure
    d = random.SystemRandom().random()
    # ok: securetag.python.random-not-secure
    e = secrets.token_hex(16)
    # ok: securetag.python.random-not-secure
    random.seed(1)
    return a, b, c, d, e
