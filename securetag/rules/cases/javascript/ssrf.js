app.get("/preview", async (req, res) => {
  // ruleid: securetag.javascript.ssrf
  const answer = await fetch(req.query.url);
  res.json(await answer.json());
});

app.post("/hook", async (req, res) => {
  // ruleid: securetag.javascript.ssrf
  await axios.post(req.body.callback, { done: true });
  res.end();
});

app.get("/stock", async (req, res) => {
  // ok: securetag.javascript.ssrf
  const answer = await axios.get("https://stock.example.test", { params: { q: req.query.q } });
  res.json(answer.data);
});
