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

app.get("/mapped", async (req, res) => {
  // ok: securetag.javascript.nosql-injection
  const item = await Item.findOne({ where: { id: req.query.id } });
  // ok: securetag.javascript.nosql-injection
  const order = await Order.findOne({ include: Item, where: { id: req.query.id } });
  // ok: securetag.javascript.nosql-injection
  const person = await people.findOne({ mail: String(req.body.mail), active: true });
  // Checked by a schema that isn't seen: reported all the same.
  // ruleid: securetag.javascript.nosql-injection
  const user = await users.findOne({ name: check(req.body.name) });
  // ruleid: securetag.javascript.nosql-injection
  const other = await users.findOne({ name: String(req.body.name), role: req.body.role });
  res.json([item, order, person, user, other]);
});
