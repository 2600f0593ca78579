function search(req, res) {
  // ruleid: securetag.javascript.regex-injection
  const words = new RegExp(req.query.words, "i");
  res.json(shop.products.filter((product) => words.test(product.name)));
}

function stored(req, res) {
  // ruleid: securetag.javascript.regex-injection
  products.count({ name: { $regex: req.query.words } }).then((count) => res.json(count));
}

function escaped(req, res) {
  // ruleid: securetag.javascript.regex-injection
  res.json(new RegExp(escapeRegExp(req.query.words)).test(shop.name));
}

function fixed(req, res) {
  // ok: securetag.javascript.regex-injection
  res.json(new RegExp("^[a-z]+$").test(req.query.words));
}
