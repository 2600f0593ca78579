const { spawn, execFile } = require("child_process");

exports.clone = function (address, done) {
  // ruleid: securetag.javascript.program-argument
  execFile("git", ["clone", address], done);
};
exports.convert = (program, file) => {
  // ruleid: securetag.javascript.program-argument
  spawn(program, ["--version"]);
  // After the mark that ends the options: reported all the same.
  // ruleid: securetag.javascript.program-argument
  return spawn("tar", ["xf", "--", file]);
};
exports.state = (file) => {
  // ok: securetag.javascript.program-argument
  spawn("git", ["status"]);
  // ok: securetag.javascript.program-argument
  return execFile("our-tool", [file]);
};
