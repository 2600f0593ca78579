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
const { readFile, writeFileSync } = require("fs");
function loadTaken(name, done) {
  // ruleid: securetag.javascript.path-from-parameter
  readFile("/srv/shop/" + name, done);
}
function storeTaken(name, content) {
  const target = path.resolve("/srv/shop", name);
  if (!target.startsWith("/srv/shop/")) return;
  // ruleid: securetag.javascript.path-from-parameter
  writeFileSync(target, content);
}
function noteTaken(content) {
  // ok: securetag.javascript.path-from-parameter
  writeFileSync("/srv/shop/note", content);
}
function moveAway(name, target) {
  // ruleid: securetag.javascript.path-from-parameter
  fs.renameSync("/srv/shop/new", target);
  // ruleid: securetag.javascript.path-from-parameter
  fs.copyFileSync(name, "/srv/shop/copy");
}
function moveFixed(content) {
  // ok: securetag.javascript.path-from-parameter
  fs.renameSync("/srv/shop/new", "/srv/shop/old");
  // ok: securetag.javascript.path-from-parameter
  return content.copyFile;
}
