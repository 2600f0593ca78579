const { exec, execSync, spawn } = require("child_process");
const cp = require("child_process");

function archive(folder, done) {
  // ruleid: securetag.javascript.shell-not-constant
  exec("tar czf out.tgz " + folder, done);
  // ruleid: securetag.javascript.shell-not-constant
  cp.execSync(`ls ${folder}`);
  // ruleid: securetag.javascript.shell-not-constant
  spawn(folder, [], { shell: true });
  // ruleid: securetag.javascript.shell-not-constant
  spawn("sh", ["-c", folder]);
  // Quoted: reported all the same.
  // ruleid: securetag.javascript.shell-not-constant
  execSync("ls " + quote(folder));
  // ok: securetag.javascript.shell-not-constant
  execSync("ls -l /srv");
  // ok: securetag.javascript.shell-not-constant
  spawn("tar", ["czf", "out.tgz", folder]);
  // ok: securetag.javascript.shell-not-constant
  return /a/.exec(folder);
}
