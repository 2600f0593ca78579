import jwt


def claims(token):
    # ruleid: securetag.python.jwt-unverified
    return jwt.decode(token, options={"verify_signature": False})


def no_algorithm(token):
    # ruleid: securetag.python.jwt-unverified
    return jwt.decode(token, KEY, algorithms=["HS256", "none"])


def verified(token):
    # ok: securetag.python.jwt-unverified
    return jwt.decode(token, KEY, algorithms=["HS256"])
