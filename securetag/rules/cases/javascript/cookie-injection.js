function language(req, res) {
  // ruleid: securetag.javascript.cookie-injection
  res.cookie("language", req.query.language);
  const { query } = req;
  // ruleid: securetag.javascript.cookie-injection
  res.cookie("shop", query.shop, { httpOnly: true });
  // ruleid: securetag.javascript.cookie-injection
  res.cookie("language", LANGUAGES.includes(req.query.language) ? req.query.language : "en");
  // ok: securetag.javascript.cookie-injection
  res.cookie("seen", "yes");
  res.json({});
}
