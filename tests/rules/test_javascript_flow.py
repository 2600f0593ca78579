"""Taint holds in JavaScript and TypeScript from every source through every way of writing it down.

One Semgrep run over the whole grid; a place that the rules lose is a vulnerability that nobody sees.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from securetag.records import Finding

SOURCES = {
    "express": "function case_(req, res) {{ const x = req.query.x; {sink} }}",
    "express params": "function case_(req, res) {{ const x = req.params.x; {sink} }}",
    "express header": "function case_(req, res) {{ const x = req.get('x'); {sink} }}",
    "express in parameters": "const case_ = ({{ body }}, res) => {{ const x = body.x; {sink} }};",
    "request taken apart": "function case_(req, res) {{ const {{ body }} = req; const x = body.x; {sink} }}",
    "request taken apart twice": "function case_(req) {{ const {{ body: {{ x }} }} = req; {sink} }}",
    "part taken apart": "function case_(req, res) {{ const {{ x }} = req.body; {sink} }}",
    "koa": "async function case_(ctx) {{ const x = ctx.request.body.x; {sink} }}",
    "koa query": "async function case_(ctx) {{ const x = ctx.query.x; {sink} }}",
    "hapi": "const case_ = (request, h) => {{ const x = request.payload.x; {sink} }};",
    "fastify": "async function case_(request, reply) {{ const x = request.query.x; {sink} }}",
    "hono": "const case_ = async (c) => {{ const x = c.req.query('x'); {sink} }};",
    "next handler": "export async function GET(request) {{ const x = (await request.json()).x; {sink} }}",
    "next address": "export async function GET(request) {{ const x = request.nextUrl.search; {sink} }}",
    "next page": "export default function Page({{ searchParams }}) {{ const x = searchParams.x; {sink} }}",
    "nest query": "class A {{ @Get() case_(@Query('x') x: string) {{ {sink} }} }}",
    "nest body": "class A {{ @Post() case_(@Body() dto: Dto, @Res() res) {{ const x = dto.x; {sink} }} }}",
    "lambda": "export const case_ = async (event) => {{ const x = event.queryStringParameters.x; {sink} }};",
    "graphql": "const resolvers = {{ case_(parent, args, context) {{ const x = args.x; {sink} }} }};",
    "graphql arrow": "const case_ = (_, args) => {{ const x = args.x; {sink} }};",
    "socket": "socket.on('message', (data) => {{ const x = data.x; {sink} }});",
    "socket function": "ws.on('message', function (x) {{ {sink} }});",
    "form": "form.parse(req, (error, fields, files) => {{ const x = fields.x; {sink} }});",
    "express optional": "function case_(req, res) {{ const x = req?.query?.x; {sink} }}",
    "express as an inline type": (
        "function case_(req, res) {{ const {{ x }} = req.query as {{ x: string }}; {sink} }}"
    ),
    "express as a type": "function case_(req, res) {{ const {{ x }} = req.query as Query; {sink} }}",
    "express cast": "function case_(req, res) {{ const x = (req.query as any).x as string; {sink} }}",
    "helper": "async function case_(req) {{ const x = (await readBody(req)).x; {sink} }}",
    "helper of a framework": "const case_ = async (event) => {{ const {{ x }} = getQuery(event); {sink} }};",
    "typed parameters": (
        "const case_ = ({{ body }}: Request, res: Response) => {{ const x = body.x; {sink} }};"
    ),
    "graphql names": "const case_ = (_, {{ x }}, context) => {{ {sink} }};",
    "graphql typed names": "const case_ = async (_: unknown, {{ x }}: {{ x: string }}) => {{ {sink} }};",
    "graphql method": "const resolvers = {{ case_(parent, {{ x }}, context) {{ {sink} }} }};",
    "route of a handler": "export async function GET(request, {{ params }}) {{ const x = params.x; {sink} }}",
    "loader": "export async function loader({{ params }}: LoaderArgs) {{ const x = params.x; {sink} }}",
    "server side": (
        "export async function getServerSideProps(context) {{ const x = context.query.x; {sink} }}"
    ),
    "typed page": (
        "export default function Page({{ searchParams }}: {{ searchParams: Search }})"
        " {{ const x = searchParams.x; {sink} }}"
    ),
    "trpc": "const case_ = procedure.mutation(({{ input }}) => {{ const x = input.x; {sink} }});",
    "use params": "function case_() {{ const {{ x }} = useParams(); {sink} }}",
    "angularjs": "function case_($routeParams) {{ const x = $routeParams.x; {sink} }}",
    "angular": "class A {{ case_() {{ const x = this.route.snapshot.paramMap.get('x'); {sink} }} }}",
    "vue": "export default {{ case_() {{ const x = this.$route.query.x; {sink} }} }};",
    "message taken apart": (
        "window.addEventListener('message', ({{ data }}) => {{ const x = data.x; {sink} }});"
    ),
    "argv": "function case_() {{ const x = process.argv[2]; {sink} }}",
    "electron": "ipcMain.handle('run', async (event, x) => {{ {sink} }});",
    "next cookie": "function case_() {{ const x = cookies().get('x').value; {sink} }}",
    "form action": "async function case_(formData) {{ const x = formData.get('x'); {sink} }}",
    "lambda records": "const case_ = async (event) => {{ const x = event.Records[0].body; {sink} }};",
    "options": "function case_() {{ const x = minimist(process.argv.slice(2)).x; {sink} }}",
    "worker": "parentPort.on('message', (x) => {{ {sink} }});",
    "address": "function case_() {{ const x = new URLSearchParams(location.search).get('x'); {sink} }}",
    "message": "window.addEventListener('message', (e) => {{ const x = e.data; {sink} }});",
    "storage": "function case_() {{ const x = localStorage.getItem('x'); {sink} }}",
}
#: What no request sends: nothing of it is flagged.
NO_SOURCES = {
    "own origin": "function case_() {{ const x = window.location.origin; {sink} }}",
    "nest pipe": "class A {{ @Get() case_(@Param('x', ParseIntPipe) x: number) {{ {sink} }} }}",
    "other callback": "const case_ = (sum, {{ x }}) => {{ {sink} }};",
    "other helper": "function case_(req) {{ const x = connect(req); {sink} }}",
    "other type": "function case_(row) {{ const {{ x }} = row.cells as {{ x: string }}; {sink} }}",
    "other parameters": "function draw({{ params }}) {{ const x = params.x; {sink} }}",
}
SHAPES = {
    "direct": "eval({source});",
    "concatenated": "eval('a' + {source});",
    "template string": "const x = {source}; eval(`a ${{x}} b`);",
    "augmented": "let s = 'a'; s += {source}; eval(s);",
    "concat": "eval('a'.concat({source}));",
    "join": "eval(['a', {source}].join(' '));",
    "push": "const s = []; s.push({source}); eval(s.join(' '));",
    "spread": "const s = ['a', ...{source}.items]; eval(s);",
    "spread object": "const s = {{ a: 1, ...{source} }}; eval(s);",
    "assigned": "const s = Object.assign({{}}, {source}); eval(s);",
    "indexed": "const s = {{}}; s[key()] = {source}; eval(s);",
    "property": "const s = {{}}; s.a = {source}; eval(s);",
    "map": "{source}.items.map((x) => eval(x));",
    "for each": "{source}.items.forEach((x) => {{ eval(x); }});",
    "keys": "Object.keys({source}).forEach((x) => {{ eval(x); }});",
    "for of": "for (const x of {source}.items) {{ eval(x); }}",
    "for in": "for (const x in {source}) {{ eval(x); }}",
    "then": "load({source}).then((x) => {{ eval(x); }});",
    "then expression": "return load({source}).then((x) => eval(x));",
    "await": "const x = await load({source}); eval(x);",
    "default": "const x = {source} ?? 'a'; eval(x);",
    "or": "const x = {source} || 'a'; eval(x);",
    "conditional": "const x = ok ? {source} : 'a'; eval(x);",
    "closure": "const x = {source}; later(() => {{ eval(x); }});",
    "callback": "const x = {source}; db.load(1, function (error) {{ eval(x); }});",
    "unpacked": "const [a, b] = {source}.split(','); eval(b);",
    "early return": "const x = {source}; if (!OK.includes(x)) return null; eval(x);",
    "cast": "const x = String({source}).slice(1); eval(x);",
    "escaped": "const x = escape({source}); eval(x);",
    "try": "let x; try {{ x = {source}; }} catch (error) {{ return; }} eval(x);",
}


def test_every_source_and_shape_reaches_the_sink_and_nothing_else(
    tmp_path: Path, scan_folder: Callable[[Path], list[Finding]]
) -> None:
    files = {f"source {name}": code.format(sink="eval(x);") for name, code in SOURCES.items()}
    files |= {f"no source {name}": code.format(sink="eval(x);") for name, code in NO_SOURCES.items()}
    for name, code in SHAPES.items():
        body = code.format(source="req.body.x")
        files[f"shape {name}"] = f"async function case_(req, res) {{ {body} }}"
    for name, code in files.items():
        (tmp_path / f"{name.replace(' ', '_')}.ts").write_text(code + "\n")
    flagged = {
        finding.path.removesuffix(".ts").replace("_", " ")
        for finding in scan_folder(tmp_path)
        if finding.rule_id == "securetag.javascript.code-injection"
    }
    expected = {name for name in files if not name.startswith("no source")}
    assert sorted(expected - flagged) == []
    assert sorted(flagged - expected) == []
