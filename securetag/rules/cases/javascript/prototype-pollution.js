app.post("/setting", (req, res) => {
  // ruleid: securetag.javascript.prototype-pollution
  settings[req.body.group][req.body.key] = req.body.value;
  res.end();
});

app.post("/merge", (req, res) => {
  // ruleid: securetag.javascript.prototype-pollution
  _.merge(settings, req.body);
  res.end();
});

app.post("/fixed", (req, res) => {
  // ok: securetag.javascript.prototype-pollution
  settings["colour"]["name"] = req.body.colour;
  res.end();
});

app.post("/map", (req, res) => {
  // ok: securetag.javascript.prototype-pollution
  store.set(req.body.key, req.body.value);
  res.end();
});
