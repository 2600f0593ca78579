function cart(req, res) {
  // ruleid: securetag.javascript.trust-boundary
  req.session.cart = req.body.cart;
  // ruleid: securetag.javascript.trust-boundary
  req.session[req.body.key] = req.body.value;
  // ok: securetag.javascript.trust-boundary
  req.session.page = Number(req.query.page);
  // ok: securetag.javascript.trust-boundary
  req.session.seen = true;
  res.json({});
}
