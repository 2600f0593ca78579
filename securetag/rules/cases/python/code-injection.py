import importlib


def calculator():
    # ruleid: securetag.python.code-injection
    return eval(request.args["expression"])


def script(request):
    source = request.POST["source"]
    # ruleid: securetag.python.code-injection
    exec(compile_once(source), {})


def plugin():
    # ruleid: securetag.python.code-injection
    return importlib.import_module("plugins." + request.args["name"])


def checked_is_reported_too():
    expression = request.args["expression"]
    if not expression.isdigit():
        return None
    # ruleid: securetag.python.code-injection
    return eval(expression)


def literal():
    # ok: securetag.python.code-injection
    return ast.literal_eval(request.args["expression"])


def constant():
    # ok: securetag.python.code-injection
    return eval("1 + 1")


def pattern():
    # ok: securetag.python.code-injection
    return re.compile(request.args["pattern"])


def method(model, request):
    # ok: securetag.python.code-injection
    return model.eval(request.args["x"])
