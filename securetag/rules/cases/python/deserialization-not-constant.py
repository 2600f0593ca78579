def read(file, text):
    # ruleid: securetag.python.deserialization-not-constant
    pickle.load(file)
    # ruleid: securetag.python.deserialization-not-constant
    yaml.load(text)
    # ruleid: securetag.python.deserialization-not-constant
    yaml.load(text, Loader=yaml.Loader)
    # ruleid: securetag.python.deserialization-not-constant
    torch.load(file)
    # ruleid: securetag.python.deserialization-not-constant
    np.load(file, allow_pickle=True)
    # Guarded code is reported all the same.
    if hmac.compare_digest(sign(text), TAG):
        # ruleid: securetag.python.deserialization-not-constant
        return pickle.loads(text)


def near(file, text):
    # ok: securetag.python.deserialization-not-constant
    yaml.load(text, Loader=yaml.SafeLoader)
    # ok: securetag.python.deserialization-not-constant
    yaml.safe_load(text)
    # ok: securetag.python.deserialization-not-constant
    torch.load(file, weights_only=True)
    # ok: securetag.python.deserialization-not-constant
    json.loads(text)
