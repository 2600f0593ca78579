def log_in(request, session):
    # ruleid: securetag.python.session-id-from-input
    session.sid = request.args.get("sid")
    # ruleid: securetag.python.session-id-from-input
    store = SessionStore(session_key=request.COOKIES["sessionid"])
    # Guarded code is reported all the same.
    if request.cookies["sid"] in KNOWN:
        # ruleid: securetag.python.session-id-from-input
        session.session_id = request.cookies["sid"]
    return store


def near(session):
    # ok: securetag.python.session-id-from-input
    session.sid = secrets.token_hex(16)
    # ok: securetag.python.session-id-from-input
    SessionStore(session_key=None)
