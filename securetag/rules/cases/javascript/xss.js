app.get("/hello", (req, res) => {
  // ruleid: securetag.javascript.xss
  res.send("<h1>Hello " + req.query.name + "</h1>");
});

app.get("/missing", (req, res) => {
  // ruleid: securetag.javascript.xss
  res.status(404).send(`No page ${req.path}`);
});

app.get("/json", (req, res) => {
  // ok: securetag.javascript.xss
  res.json({ name: req.query.name });
});

app.get("/constant", (req, res) => {
  // ok: securetag.javascript.xss
  res.send("<h1>Hello</h1>");
});

function fastify(request, reply) {
  // ruleid: securetag.javascript.xss
  reply.type("text/html").send("<b>" + request.query.name);
  // Sent as text/plain.
  // ok: securetag.javascript.xss
  reply.send(request.query.name);
}

app.get("/no-text", async (req, res) => {
  // ok: securetag.javascript.xss
  res.send({ name: req.query.name });
  // ok: securetag.javascript.xss
  res.send([req.query.name]);
  const page = { name: req.query.name };
  // ok: securetag.javascript.xss
  res.status(200).send(page);
  // ok: securetag.javascript.xss
  res.end(JSON.stringify(req.query));
  const text = JSON.stringify({ name: req.query.name });
  // ok: securetag.javascript.xss
  res.end(text);
  // ok: securetag.javascript.xss
  res.status(404).send();
  // ok: securetag.javascript.xss
  res.type("text/plain").send(req.query.name);
  // ok: securetag.javascript.xss
  res.send(Boolean(req.query.name));
  const count = Number(req.query.count);
  // ok: securetag.javascript.xss
  res.send("<b>" + count + "</b>");
  // ok: securetag.javascript.xss
  res.send(req.query.name === "a" ? "<b>a</b>" : "<i>b</i>");
});

app.get("/answers", async (req, res) => {
  const rows = await db.query("SELECT * FROM item WHERE name = ?", [req.query.name]);
  // ok: securetag.javascript.xss
  res.send(rows);
  const user = await users.load(req.params.id);
  // ok: securetag.javascript.xss
  res.send(user);
  // ok: securetag.javascript.xss
  res.send(await fetch("https://a.example/" + req.query.name));
  const page = await renderPage(req.query.name);
  // ruleid: securetag.javascript.xss
  res.send(page);
  const { name } = await req.json();
  // ruleid: securetag.javascript.xss
  res.send(name);
  const list = await items.load(req.params.id);
  // ruleid: securetag.javascript.xss
  res.send(list.title + req.query.name);
  // ok: securetag.javascript.xss
  User.findOne({ name: req.query.name }).then((found) => res.send(found));
});

app.get("/escaped", (req, res) => {
  // ok: securetag.javascript.xss
  res.send("<h1>" + escapeHtml(req.query.name) + "</h1>");
  const name = validator.escape(req.query.name);
  // ok: securetag.javascript.xss
  res.send("<h1>" + name + "</h1>");
  // ok: securetag.javascript.xss
  res.send(`<a href="/?q=${encodeURIComponent(req.query.q)}">again</a>`);
  // One is escaped, the other isn't.
  // ruleid: securetag.javascript.xss
  res.send(`<a href="/?q=${encodeURIComponent(req.query.q)}">${req.query.q}</a>`);
  // Guarded for another place, or by a function that isn't known: reported.
  // ruleid: securetag.javascript.xss
  res.send("<h1>" + clean(req.query.name) + "</h1>");
  // ruleid: securetag.javascript.xss
  res.send("<h1>" + req.query.name.replace("<", "") + "</h1>");
});

exports.handler = async (event) => ({
  statusCode: 200,
  headers: { "Content-Type": "text/html; charset=utf-8" },
  // ruleid: securetag.javascript.xss
  body: "<h1>" + event.queryStringParameters.name + "</h1>",
});

exports.json = async (event) => ({
  statusCode: 200,
  headers: { "Content-Type": "application/json" },
  // ok: securetag.javascript.xss
  body: JSON.stringify(event.queryStringParameters),
});

async function koa(ctx) {
  // ok: securetag.javascript.xss
  ctx.body = { name: ctx.query.name };
  // ok: securetag.javascript.xss
  ctx.body = fs.createReadStream("/srv/" + ctx.query.name);
  // ok: securetag.javascript.xss
  ctx.body = await knex("item").where({ name: ctx.query.name });
  // ruleid: securetag.javascript.xss
  ctx.body = `<p>${ctx.query.name}</p>`;
  const q = ctx.query?.name;
  // ruleid: securetag.javascript.xss
  ctx.body = "<p>" + q;
}
