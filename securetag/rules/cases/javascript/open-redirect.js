app.get("/go", (req, res) => {
  // ruleid: securetag.javascript.open-redirect
  res.redirect(req.query.next);
});

app.get("/permanent", (req, res) => {
  // ruleid: securetag.javascript.open-redirect
  res.redirect(301, req.query.next);
});

app.get("/home", (req, res) => {
  // ok: securetag.javascript.open-redirect
  res.redirect("/");
});

app.get("/choice", (req, res) => {
  // ok: securetag.javascript.open-redirect
  res.redirect(req.query.lang === "es" ? "/es" : "/en");
});
