function allow(req, res, next) {
  // ruleid: securetag.javascript.cors-reflected
  res.setHeader("Access-Control-Allow-Origin", req.headers.origin);
  // ruleid: securetag.javascript.cors-reflected
  res.header("access-control-allow-origin", req.get("origin") || "*");
  next();
}

function allowListed(req, res, next) {
  // Compared with a list first: reported all the same.
  if (ORIGINS.includes(req.headers.origin)) {
    // ruleid: securetag.javascript.cors-reflected
    res.setHeader("Access-Control-Allow-Origin", req.headers.origin);
  }
  // ok: securetag.javascript.cors-reflected
  res.setHeader("Access-Control-Allow-Headers", "X-Shop");
  // ok: securetag.javascript.cors-reflected
  res.setHeader("Access-Control-Allow-Origin", "https://shop.example");
  next();
}

exports.handler = async (event) => ({
  statusCode: 200,
  // ruleid: securetag.javascript.cors-reflected
  headers: { "Access-Control-Allow-Origin": event.headers.origin },
  body: "",
});
