function hello(name, res) {
  // ruleid: securetag.javascript.response-not-constant
  res.send("hello " + name);
  // ruleid: securetag.javascript.response-not-constant
  res.status(200).send(`hello ${name}`);
  // ruleid: securetag.javascript.response-not-constant
  res.end("hello " + escapeHtml(name));
  // ok: securetag.javascript.response-not-constant
  res.send("hello");
  // ok: securetag.javascript.response-not-constant
  res.json({ hello: name });
}
