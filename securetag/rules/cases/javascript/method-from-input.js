const actions = { list, show };

app.post("/run", (req, res) => {
  // ruleid: securetag.javascript.method-from-input
  actions[req.body.action](req, res);
  const name = req.query.type;
  // ruleid: securetag.javascript.method-from-input
  const shape = new shapes[name]();
  // Looked for first, inherited functions are there too: reported all the same.
  if (name in actions) {
    // ruleid: securetag.javascript.method-from-input
    actions[name].call(shape);
  }
  // A value alone.
  // ok: securetag.javascript.method-from-input
  const label = labels[req.query.label];
  // ok: securetag.javascript.method-from-input
  actions["list"](req.query);
  // ok: securetag.javascript.method-from-input
  list[Number(req.query.index)](label);
});
