function hello(name, res) {
  // ruleid: securetag.javascript.response-not-constant
  res.send("hello " + name);
  // ruleid: securetag.javascript.response-not-constant
  res.status(200).send(`hello ${name}`);
  // ruleid: securetag.javascript.response-not-constant
  res.end("hello " + clean(name));
  // ok: securetag.javascript.response-not-constant
  res.end("hello " + escapeHtml(name));
  // ok: securetag.javascript.response-not-constant
  res.send("hello");
  // ok: securetag.javascript.response-not-constant
  res.json({ hello: name });
}
const koa = (ctx, name) => {
  // ruleid: securetag.javascript.response-not-constant
  ctx.body = `hello ${name}`;
  // ok: securetag.javascript.response-not-constant
  ctx.response.body = "hello " + escapeHtml(name);
  // ok: securetag.javascript.response-not-constant
  ctx.body = { hello: name };
  // ok: securetag.javascript.response-not-constant
  ctx.type = `text/${name}`;
};
