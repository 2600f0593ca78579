const serialize = require("node-serialize");

app.post("/basket", (req, res) => {
  // ruleid: securetag.javascript.deserialization
  res.json(serialize.unserialize(req.cookies.basket));
});

app.post("/json", (req, res) => {
  // ok: securetag.javascript.deserialization
  res.json(JSON.parse(req.cookies.basket));
});
