const fs = require("fs");
const path = require("path");

function load(name) {
  // ruleid: securetag.javascript.path-from-parameter
  return fs.readFileSync(path.join("/srv/shop", name));
}
const store = (name, content) => {
  const target = "/srv/shop/" + name;
  // ruleid: securetag.javascript.path-from-parameter
  fs.writeFileSync(target, content);
};
function below(name) {
  const target = path.resolve("/srv/shop", name);
  if (!target.startsWith("/srv/shop/")) return null;
  // ruleid: securetag.javascript.path-from-parameter
  return fs.readFileSync(target);
}
function version(done) {
  // ok: securetag.javascript.path-from-parameter
  fs.readFile("/srv/shop/version", done);
}
function note(content) {
  // ok: securetag.javascript.path-from-parameter
  fs.writeFileSync("/srv/shop/note", content);
}
function loadLocale(name) {
  // ruleid: securetag.javascript.path-from-parameter
  return require("./locale/" + name);
}
function loadDefault() {
  // ok: securetag.javascript.path-from-parameter
  return require("./locale/" + "en");
}
