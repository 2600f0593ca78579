# ruleid: securetag.python.insecure-cookie
response.set_cookie("session", value, secure=False, httponly=True)

# ruleid: securetag.python.insecure-cookie
SESSION_COOKIE_SECURE = False

# ok: securetag.python.insecure-cookie
response.set_cookie("session", value, secure=True, httponly=True, samesite="Lax")
