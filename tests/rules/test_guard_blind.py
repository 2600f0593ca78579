"""Taint holds from every source through every way of writing it down, guarded or not.

Triage can only judge what is reported: a shape that the rules lose is a vulnerability that nobody
sees. One Semgrep run over the whole grid.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from securetag.records import Finding
from securetag.rules import catalogue

pytestmark = pytest.mark.system

SOURCES = {
    "flask args": "request.args['x']",
    "flask get": "request.args.get('x', '')",
    "flask form": "request.form['x']",
    "flask values": "request.values['x']",
    "flask cookies": "request.cookies.get('x')",
    "flask headers": "request.headers['X-Name']",
    "flask json": "request.get_json()['x']",
    "flask view args": "request.view_args['x']",
    "qualified": "flask.request.args['x']",
    "django GET": "request.GET['x']",
    "django POST": "self.request.POST.get('x')",
    "django COOKIES": "request.COOKIES['x']",
    "django META": "request.META['HTTP_X']",
    "bottle query": "request.query.x",
    "bottle forms": "request.forms.get('x')",
    "aiohttp query": "request.rel_url.query['x']",
    "aiohttp post": "(await request.post())['x']",
    "aiohttp match": "request.match_info['x']",
    "starlette query": "request.query_params['x']",
    "starlette path": "request.path_params['x']",
    "starlette form": "(await request.form())['x']",
    "tornado": "self.get_argument('x')",
    "tornado query": "self.get_query_argument('x')",
    "tornado body": "self.get_body_argument('x')",
    "sanic": "request.args.get('x')",
    "falcon param": "req.get_param('x')",
    "falcon params": "req.params['x']",
    "falcon media": "req.media['x']",
    "django cleaned data": "form.cleaned_data['x']",
    "rest framework": "serializer.validated_data['x']",
    "wtforms": "login_form.name.data",
    "web.py": "web.input().x",
    "socket": "sock.recv(1024)",
    "cgi": "cgi.FieldStorage().getvalue('x')",
    "function of the project": "get_query_param(request, 'x')",
    "wrapper of a request": "request_wrapper.take('x')",
    "upload's name": "upload.filename",
}
#: What the person who starts the program gives: a source where it becomes code, not where it names a file.
LOCAL_SOURCES = {
    "argv": "sys.argv[1]",
    "input": "input()",
    "environment": "os.environ['X']",
    "getenv": "os.getenv('X')",
    "argparse": "parser.parse_args().x",
}
SHAPES = {
    "direct": ["{sink}(PRE + {source})"],
    "assigned": ["x = {source}", "y = x", "{sink}(PRE + y)"],
    "f-string": ["x = {source}", "{sink}(f'a {{x}} b')"],
    "percent": ["x = {source}", "{sink}('a %s' % x)"],
    "percent tuple": ["x = {source}", "{sink}('a %s %s' % (x, 1))"],
    "format": ["x = {source}", "{sink}('a {{}}'.format(x))"],
    "join": ["x = {source}", "{sink}(' '.join(['a', x]))"],
    "augmented": ["s = 'a'", "s += {source}", "{sink}(s)"],
    "method": ["x = {source}.strip().lower()", "{sink}(PRE + x)"],
    "slice of a variable": ["x = {source}", "{sink}(PRE + x[2:])"],
    "reversed": ["x = {source}", "y = x[::-1]", "{sink}(PRE + y)"],
    "slice": ["x = {source}[:10]", "{sink}(PRE + x)"],
    "cast": ["x = int({source})", "{sink}(PRE + str(x))"],
    "unknown call": ["x = clean({source})", "{sink}(PRE + x)"],
    "unknown method": ["x = guard.escape({source})", "{sink}(PRE + x)"],
    "dictionary": ["x = TABLE.get({source}, 'a')", "{sink}(PRE + x)"],
    "index": ["x = TABLE[{source}]", "{sink}(PRE + x)"],
    "ternary value": ["x = {source}", "y = x if x in OK else 'a'", "{sink}(PRE + y)"],
    "early return": ["x = {source}", "if not x.isdigit():", "    return None", "{sink}(PRE + x)"],
    "early raise": ["x = {source}", "if x not in OK:", "    raise ValueError(x)", "{sink}(PRE + x)"],
    "overwritten on one way": ["x = {source}", "if x not in OK:", "    x = 'a'", "{sink}(PRE + x)"],
    "nested if": ["x = {source}", "if x in OK:", "    if x:", "        {sink}(PRE + x)"],
    "else": ["x = {source}", "if x not in OK:", "    pass", "else:", "    {sink}(PRE + x)"],
    "loop": ["for x in [{source}]:", "    {sink}(PRE + x)"],
    "while": ["x = {source}", "while x:", "    {sink}(PRE + x)", "    break"],
    "try": ["x = {source}", "try:", "    {sink}(PRE + x)", "except ValueError:", "    return None"],
    "try else": [
        "x = {source}",
        "try:",
        "    int(x)",
        "except ValueError:",
        "    return None",
        "{sink}(PRE + x)",
    ],
    "helper": ["def put(v):", "    return v.strip()", "x = put({source})", "{sink}(PRE + x)"],
    "lambda": ["put = lambda v: v.strip()", "x = put({source})", "{sink}(PRE + x)"],
    "unpacked": ["x, y = {source}, 1", "{sink}(PRE + x)"],
    "list": ["x = [{source}]", "{sink}(PRE + x[0])"],
    "mapping": ["x = {{'a': {source}}}", "{sink}(PRE + x['a'])"],
    "comprehension": ["x = [p for p in {source}.split(',')]", "{sink}(PRE + ','.join(x))"],
    "append": ["x = []", "x.append({source})", "{sink}(PRE + x[0])"],
    "extend": ["x = []", "x.extend({source})", "{sink}(PRE + x[0])"],
    "set": ["x = set()", "x.add({source})", "{sink}(PRE + ','.join(x))"],
    "item": ["x = {{}}", "x['a'] = {source}", "{sink}(PRE + x['a'])"],
    "update": ["x = {{}}", "x.update({source})", "{sink}(PRE + x['a'])"],
    "buffer": ["x = io.StringIO()", "x.write({source})", "{sink}(PRE + x.getvalue())"],
    "config parser": ["x = ConfigParser()", "x.set('a', 'b', {source})", "{sink}(PRE + x.get('a', 'b'))"],
    "walrus": ["if (x := {source}):", "    {sink}(PRE + x)"],
    "with": ["with lock:", "    x = {source}", "    {sink}(PRE + x)"],
    "match": ["x = {source}", "if re.fullmatch('[a-z]+', x):", "    {sink}(PRE + x)"],
    "guard after": ["x = {source}", "{sink}(PRE + x)", "if x not in OK:", "    return None"],
    "default": ["x = {source} or 'a'", "{sink}(PRE + x)"],
}
SINKS = {
    "CWE-89": "cur.execute",
    "CWE-78": "os.system",
    "CWE-22": "open",
    "CWE-918": "requests.get",
    "CWE-601": "redirect",
    "CWE-79": "make_response",
    "CWE-94": "eval",
    "CWE-502": "pickle.loads",
}
LOCAL_CLASSES = {"CWE-89", "CWE-78", "CWE-94", "CWE-502"}


def traced(findings: list[Finding]) -> list[Finding]:
    """Leave out what is reported for its shape alone."""
    return [finding for finding in findings if catalogue()[finding.rule_id].kind == "traced"]


def function(name: str, source: str, shape: list[str], sink: str) -> str:
    body = [line.format(source=source, sink=sink) for line in shape]
    return f"async def {name}(self):\n" + "\n".join(f"    {line}" for line in body) + "\n"


def test_every_source_and_shape_reaches_every_sink(
    tmp_path: Path, scan_folder: Callable[[Path], list[Finding]]
) -> None:
    expected: dict[tuple[str, str], str] = {}
    for cwe, sink in SINKS.items():
        sources = {**SOURCES, **LOCAL_SOURCES} if cwe in LOCAL_CLASSES else SOURCES
        grid = [(source, "assigned") for source in sources] + [("flask args", shape) for shape in SHAPES]
        code = []
        for number, (source, shape) in enumerate(grid):
            code.append(function(f"case_{number}", sources[source], SHAPES[shape], sink))
            expected[cwe, f"case_{number}"] = f"{cwe}: {source}, {shape}"
        (tmp_path / f"{cwe.replace('-', '_').lower()}.py").write_text("\n\n".join(code))
    flagged = {(finding.cwe, finding.scope.split(".")[0]) for finding in traced(scan_folder(tmp_path))}
    assert [what for key, what in expected.items() if key not in flagged] == []


ROUTES = {
    "flask": "@app.route('/a/<x>')\ndef case(x):",
    "flask typed": "@app.route('/a/<x>')\ndef case(x: str):",
    "blueprint": "@blueprint.get('/a/<x>')\ndef case(x):",
    "bottle": "@route('/a/<x>')\ndef case(x):",
    "fastapi": "@router.get('/a')\nasync def case(x: str = 'a'):",
    "fastapi second": "@app.post('/a')\ndef case(db: Session, x: str):",
    "django": "def case(request, x):",
    "django class": "class V(View):\n  def get(self, request, x):",
    "tornado": "class V(RequestHandler):\n  def get(self, x):",
    "falcon": "class V:\n  def on_get(self, req, resp, x):",
    "http server": "class H(BaseHTTPRequestHandler):\n  def do_GET(self):\n      x = self.path",
    "http server header": "class H(BaseHTTPRequestHandler):\n  def do(self):\n      x = self.headers['X']",
    "view's kwargs": "class V(DetailView):\n  def get_queryset(self):\n      x = self.kwargs['x']",
    "graphene": "class Q(ObjectType):\n  def resolve_user(self, info, x):",
    "graphene keywords": "class M(Mutation):\n  def mutate(root, info, **x):",
    "strawberry": "@strawberry.mutation\ndef case(x: str) -> str:",
    "ariadne": "@query.field('user')\ndef case(parent, info, x):",
    "celery": "@app.task\ndef case(x):",
    "celery shared": "@shared_task(bind=True)\ndef case(self, x):",
    "click": "@cli.command()\n@click.argument('x')\ndef case(x):",
    "lambda": "def handler(event, context):\n      x = event['x']",
    "socket event": "@socketio.on('message')\ndef case(x):",
    "tool of a model": "@mcp.tool()\ndef case(x: str) -> str:",
    "channels": "class C(WebsocketConsumer):\n  def receive_json(self, x):",
    "restful parser": "from flask_restful import Api, reqparse\ndef case():\n      x = parser.parse_args()",
    "two decorators": "@app.route('/a/<x>')\n@login_required\ndef case(x):",
}


def test_parts_of_the_route_are_sources(tmp_path: Path, scan_folder: Callable[[Path], list[Finding]]) -> None:
    for name, head in ROUTES.items():
        (tmp_path / f"{name.replace(' ', '_')}.py").write_text(f"{head}\n      cur.execute('a' + x)\n")
    flagged = {
        finding.path.removesuffix(".py").replace("_", " ") for finding in traced(scan_folder(tmp_path))
    }
    assert set(ROUTES) - flagged == set()
