app.post("/login", async (req, res) => {
  // ruleid: securetag.javascript.nosql-injection
  const user = await users.findOne({ name: req.body.name, password: req.body.password });
  res.json(user);
});

app.get("/search", async (req, res) => {
  // ruleid: securetag.javascript.nosql-injection
  res.json(await items.find(req.query.filter));
});

app.get("/all", async (req, res) => {
  // ok: securetag.javascript.nosql-injection
  res.json(await items.find({ visible: true }));
});

app.get("/array", (req, res) => {
  // ok: securetag.javascript.nosql-injection
  res.json(list.includes(req.query.name));
});

app.get("/first", (req, res) => {
  // ok: securetag.javascript.nosql-injection
  res.json(list.find((item) => item.name === req.query.name));
});
