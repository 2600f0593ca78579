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

app.get("/rate", async (req, res) => {
  const { currency, host } = req.query;
  // ok: securetag.javascript.ssrf
  await fetch(`https://rates.example.test/v1/${currency}`);
  // ok: securetag.javascript.ssrf
  await axios.get(`${process.env.RATES_URL}/v1/${currency}`);
  const address = "https://rates.example.test/v1?c=" + currency;
  // ok: securetag.javascript.ssrf
  await fetch(address);
  // ok: securetag.javascript.ssrf
  await fetch("/api/rates/" + currency);
  // ok: securetag.javascript.ssrf
  await redis.client.get(currency);
  // ruleid: securetag.javascript.ssrf
  await fetch(`https://${host}.rates.example.test/v1`);
  // ruleid: securetag.javascript.ssrf
  await fetch("https://rates.example.test" + currency);
  // No slash: the text goes on with the host's name.
  // ruleid: securetag.javascript.ssrf
  await fetch(`${RATES_HOST}${currency}`);
  // An allow-list: reported all the same.
  if (HOSTS.includes(host)) {
    // ruleid: securetag.javascript.ssrf
    await fetch("https://" + host + "/v1");
  }
  res.end();
});
