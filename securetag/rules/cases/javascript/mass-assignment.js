async function register(req, res) {
  // ruleid: securetag.javascript.mass-assignment
  const user = await User.create(req.body);
  res.json(user.id);
}

async function change(req, res) {
  // ruleid: securetag.javascript.mass-assignment
  await User.findByIdAndUpdate(req.params.id, req.body);
  // ruleid: securetag.javascript.mass-assignment
  await prisma.user.create({ data: req.body });
  // ruleid: securetag.javascript.mass-assignment
  const order = new Order(req.body);
  res.json(order);
}

async function checked(req, res) {
  // ruleid: securetag.javascript.mass-assignment
  res.json(await User.create(schema.parse(req.body)));
}

async function named(req, res) {
  // ok: securetag.javascript.mass-assignment
  res.json(await User.create({ name: req.body.name, mail: req.body.mail }));
}

async function written(req, res) {
  const user = await User.findByPk(req.params.id);
  // ruleid: securetag.javascript.mass-assignment
  Object.assign(user, req.body);
  // ruleid: securetag.javascript.mass-assignment
  const order = await Order.create({ ...req.body, owner: user.id });
  // ruleid: securetag.javascript.mass-assignment
  await prisma.item.update({ where: { id: 1 }, data: { ...req.body } });
  // Checked by a schema that isn't seen: reported all the same.
  const data = schema.parse(req.body);
  // ruleid: securetag.javascript.mass-assignment
  Object.assign(user, data);
  // ok: securetag.javascript.mass-assignment
  Object.assign(user, { name: req.body.name });
  // A copy is no record.
  // ok: securetag.javascript.mass-assignment
  const copy = Object.assign({}, req.body);
  // ok: securetag.javascript.mass-assignment
  Object.assign(options, req.body);
  // ok: securetag.javascript.mass-assignment
  res.json({ ...req.body, order, copy });
}
