def run(text, name):
    # ruleid: securetag.python.code-not-constant
    eval(text)
    # ruleid: securetag.python.code-not-constant
    exec(f"print({text})")
    # ruleid: securetag.python.code-not-constant
    importlib.import_module(name)
    # ruleid: securetag.python.code-not-constant
    globals()[name]()
    # ruleid: securetag.python.code-not-constant
    df.query(text)
    # Guarded code is reported all the same.
    if name in ALLOWED:
        # ruleid: securetag.python.code-not-constant
        __import__(name)


def near(text, name):
    # ok: securetag.python.code-not-constant
    eval("1 + 1")
    # ok: securetag.python.code-not-constant
    importlib.import_module("json")
    # ok: securetag.python.code-not-constant
    ast.literal_eval(text)
    # ok: securetag.python.code-not-constant
    TABLE[name]()
