import random
import secrets


def reset():
    # ruleid: securetag.python.weak-random
    token = "".join(random.choice("abcdef") for _ in range(20))
    return token


def new_api_key():
    # ruleid: securetag.python.weak-random
    return "%032x" % random.getrandbits(128)


def one_time():
    # ruleid: securetag.python.weak-random
    otp = random.randint(100000, 999999)
    return otp


def strong():
    # ok: securetag.python.weak-random
    token = secrets.token_urlsafe(32)
    return token


def dice():
    # ok: securetag.python.weak-random
    roll = random.randint(1, 6)
    return roll
