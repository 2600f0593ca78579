const ejs = require("ejs");
const Handlebars = require("handlebars");

function preview(req, res) {
  // ruleid: securetag.javascript.template-injection
  res.json(ejs.render(req.body.template, { shop: "Bodega" }));
}

function mail(req, res) {
  const { body } = req;
  // ruleid: securetag.javascript.template-injection
  const template = Handlebars.compile("<p>" + body.greeting + "</p>");
  res.json(template({}));
}

function checked(req, res) {
  const text = String(req.body.template).replace(/[<%>]/g, "");
  // The signs are removed: reported all the same.
  // ruleid: securetag.javascript.template-injection
  res.json(ejs.render(text));
}

function greeting(req, res) {
  // ok: securetag.javascript.template-injection
  res.json(ejs.render("<p><%= name %></p>", { name: req.body.name }));
}
