module.exports = function load(name) {
  // ruleid: securetag.javascript.code-module
  return require(name);
};
exports.plugin = async (options) => {
  // ruleid: securetag.javascript.code-module
  const plugin = await import(options.plugin);
  // Below a folder: reported all the same.
  // ruleid: securetag.javascript.code-module
  return [plugin, require(path.join(__dirname, options.name))];
};
exports.fixed = (name) => {
  // ok: securetag.javascript.code-module
  return require("./table")[name];
};
// ok: securetag.javascript.code-module
exports.version = require("./package.json").version;
