function download(req, res) {
  // ruleid: securetag.javascript.header-injection
  res.setHeader("Content-Disposition", `attachment; filename=${req.query.name}`);
  // ruleid: securetag.javascript.header-injection
  res.set("X-Request", req.headers["x-request"]);
  // ruleid: securetag.javascript.header-injection
  res.setHeader("X-Shop", encodeURIComponent(req.query.shop));
  // ok: securetag.javascript.header-injection
  res.setHeader("X-Frame-Options", "DENY");
  res.json({});
}

function raw(req, res) {
  // ruleid: securetag.javascript.header-injection
  res.writeHead(200, { "X-Shop": req.query.shop });
  res.json({});
}
