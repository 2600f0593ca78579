import pickle

import yaml


def cookie():
    # ruleid: securetag.python.deserialization
    return pickle.loads(base64.b64decode(request.cookies["basket"]))


def document(request):
    # ruleid: securetag.python.deserialization
    return yaml.load(request.body, Loader=yaml.Loader)


def unsafe():
    # ruleid: securetag.python.deserialization
    return yaml.unsafe_load(request.data)


def signed_is_reported_too():
    body = request.get_data()
    if not hmac.compare_digest(sign(body), request.headers["X-Signature"]):
        abort(403)
    # ruleid: securetag.python.deserialization
    return pickle.loads(body)


def safe():
    # ok: securetag.python.deserialization
    return yaml.safe_load(request.data)


def safe_loader():
    # ok: securetag.python.deserialization
    return yaml.load(request.data, Loader=yaml.SafeLoader)


def json_text():
    # ok: securetag.python.deserialization
    return json.loads(request.data)


def own_file():
    # ok: securetag.python.deserialization
    return pickle.load(open("model.pickle", "rb"))
