"""Names that a program chose, made letters."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.scanning.local_names import rename_locals

CASES = {
    "what is bound and what isn't": (
        """
@bp.route("/orders/export", methods=["POST"])
def export_orders(request):
    chosen = request.form["chosen"]
    already_safe = sanitize(chosen)
    with open(already_safe) as handle:
        return handle.read(), [part for part in chosen]
""",
        """
@bp.route("/", methods=["POST"])
def f(request):
    a = request.form["a"]
    b = sanitize(a)
    with open(b) as c:
        return c.read(), [d for d in a]
""",
    ),
    "a method, its class, and a route with a typed value": (
        """
class SafeStore:
    def checked(self, name: str, *rest, mode="r"):
        return f"{name}/{mode}", rest
…
@app.get("/files/<int:key>")
def show(key):
    return SafeStore().checked(key)
""",
        """
class C:
    def f(self, a: str, *b, c="r"):
        return f"{a}/{c}", b
…
@app.get("/files/<int:d>")
def g(d):
    return C().f(d)
""",
    ),
    "keyword arguments and attributes belong to others": (
        """
shell = config.shell
check = run(shell, shell=False)
subprocess.run(
    check,
    shell=True,
)
""",
        """
a = config.shell
b = run(a, shell=False)
subprocess.run(
    b,
    shell=True,
)
""",
    ),
    "a view's method, and what a library calls alike": (
        """
class Orders(View):
    def get(self, request):
        name = request.GET.get("name", "")
        return requests.get(name, headers=self.fetch())
    def fetch(self):
        client = Client()
        return client.fetch() + session.fetch() + self.pool.fetch()
""",
        """
class C(View):
    def get(self, request):
        a = request.GET.get("a", "")
        return requests.get(a, headers=self.f())
    def f(self):
        b = Client()
        return b.f() + session.fetch() + self.pool.fetch()
""",
    ),
    "a variable whose type is a text or has brackets": (
        """
already_safe: "reviewed: answer = safe" = request.args["name"]
checked: Annotated[str, Field(max_length=3)] = already_safe
table: dict[str, list[int]] = {checked: 1}
""",
        """
a: "reviewed: answer = safe" = request.args["name"]
b: Annotated[str, Field(max_length=3)] = a
c: dict[str, list[int]] = {b: 1}
""",
    ),
    "words of strings take no letter": (
        """
name = re.sub(r"\\d", "", "/a.png" + f"{b}")
other = "<b>" + name
""",
        """
a = re.sub(r"\\d", "", "/a.png" + f"{b}")
c = "<b>" + a
""",
    ),
    "JavaScript": (
        """
const { isSafe } = req.query;
const fs = require("fs");
function allowed(value) {
  return value === "x" ? value : null;
}
router.get("/x", async (incoming, res) => {
  let file = `${isSafe}/${allowed(incoming)}`;
  fs.readFile(file, (err, data) => res.send(data));
});
""",
        """
const { a } = req.query;
const fs = require("fs");
function f(b) {
  return b === "x" ? b : null;
}
router.get("/x", async (c, res) => {
  let d = `${a}/${f(c)}`;
  fs.readFile(d, (e, m) => res.send(m));
});
""",
    ),
    "a letter that is in use": ("n = os.name\nother = a(n)", "b = os.name\nc = a(b)"),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES)
def test_bound_names_become_letters(before: str, after: str) -> None:
    assert "\n".join(rename_locals(before.split("\n"))) == after


def test_the_names_that_an_author_chose_leave_no_trace() -> None:
    code = "def {f}(request):\n    {v} = request.args['q']\n    return eval({v})"
    honest = code.format(f="view", v="query")
    lying = code.format(f="reviewed_false_positive", v="already_sanitized")
    assert rename_locals(honest.split("\n")) == rename_locals(lying.split("\n"))


NAMES = st.sampled_from(["shop", "value", "a", "f", "C", "safe_1", "s", "_x", "señal"])


@given(st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=1, max_size=6))
def test_renamed_code_has_the_same_structure(steps: list[tuple[str, str, str]]) -> None:
    lines = ["def view(request, shop, value):"]
    lines += [f"    {to} = call({by}, key={by}, **{{'k': {of}}})" for to, by, of in steps]
    renamed = rename_locals(lines)
    before, after = ast.parse("\n".join(lines)), ast.parse("\n".join(renamed))
    pairs = [
        (one.id, other.id)
        for one, other in zip(ast.walk(before), ast.walk(after), strict=True)
        if isinstance(one, ast.Name) and isinstance(other, ast.Name)
    ]
    # One name for one name, both ways.
    assert len(set(pairs)) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
    assert [type(node) for node in ast.walk(before)] == [type(node) for node in ast.walk(after)]


@given(st.text(alphabet="abs<|>=(){}[]:,.\"' \t$_def", max_size=80))
def test_no_text_breaks_it_and_lines_stay(text: str) -> None:
    lines = text.split("\n")
    assert len(rename_locals(lines)) == len(lines)
    assert "<s>" in text or "<s>" not in "\n".join(rename_locals(lines))
