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
