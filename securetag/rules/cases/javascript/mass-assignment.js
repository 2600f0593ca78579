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
