function login(req, res) {
  // ruleid: securetag.javascript.log-injection
  logger.info("login of " + req.body.name);
  // ruleid: securetag.javascript.log-injection
  logger.warn(`login of ${req.body.name} failed`);
  // Line breaks are removed: reported all the same.
  // ruleid: securetag.javascript.log-injection
  logger.info("login of " + req.body.name.replace(/[\r\n]/g, ""));
  // ok: securetag.javascript.log-injection
  logger.info({ name: req.body.name }, "login");
  res.json({});
}
