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

app.get("/paths", (req, res) => {
  // ok: securetag.javascript.open-redirect
  res.redirect("/search?q=" + req.query.q);
  // ok: securetag.javascript.open-redirect
  res.redirect(`/shelf/${req.params.id}`);
  // ok: securetag.javascript.open-redirect
  res.redirect("https://shop.example/shelf/" + req.params.id);
  // `//host` is another site.
  // ruleid: securetag.javascript.open-redirect
  res.redirect("/" + req.query.next);
  // `shop.example.evil.test` is another site.
  // ruleid: securetag.javascript.open-redirect
  res.redirect("https://shop.example" + req.query.next);
  // A check of the beginning: reported all the same.
  if (req.query.next.startsWith("/")) {
    // ruleid: securetag.javascript.open-redirect
    res.redirect(req.query.next);
  }
});

function leave() {
  const next = new URLSearchParams(window.location.search).get("next");
  // ruleid: securetag.javascript.open-redirect
  location = next;
  // ruleid: securetag.javascript.open-redirect
  document.location.href = next;
  // ok: securetag.javascript.open-redirect
  const location = next;
  // ok: securetag.javascript.open-redirect
  window.location.href = "/?next=" + encodeURIComponent(next);
  return location;
}
