app.get("/sum", (req, res) => {
  // ruleid: securetag.javascript.code-injection
  res.json(eval(req.query.expression));
});

app.post("/rule", (req, res) => {
  // ruleid: securetag.javascript.code-injection
  const rule = new Function("item", req.body.rule);
  res.json(rule({}));
});

app.get("/constant", (req, res) => {
  // ok: securetag.javascript.code-injection
  res.json(eval("1 + 1"));
});

app.post("/json", (req, res) => {
  // ok: securetag.javascript.code-injection
  res.json(JSON.parse(req.body.text));
});
