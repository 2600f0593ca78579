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
async function more(folder) {
  // ruleid: securetag.javascript.shell-not-constant
  await util.promisify(exec)("ls " + folder);
  // ruleid: securetag.javascript.shell-not-constant
  require("node:child_process").exec(`ls ${folder}`);
  // ruleid: securetag.javascript.shell-not-constant
  cp.execFileSync(folder, ["-l"], { shell: true });
  // ok: securetag.javascript.shell-not-constant
  await util.promisify(exec)("ls -l /srv");
  // ok: securetag.javascript.shell-not-constant
  cp.execFileSync("ls", [folder]);
  // ok: securetag.javascript.shell-not-constant
  await util.promisify(fs.stat)(folder);
}
async function byLibrary(folder) {
  // ruleid: securetag.javascript.shell-not-constant
  await execa.command("ls " + folder);
  // ok: securetag.javascript.shell-not-constant
  await execa.command("ls -l /srv");
}
function byVariable(command, folder) {
  const settings = { cwd: folder, shell: true };
  // ruleid: securetag.javascript.shell-not-constant
  spawn(command, ["-l"], settings);
  const words = ["-c", command];
  // ruleid: securetag.javascript.shell-not-constant
  cp.spawnSync("sh", words);
  // Quoted: reported all the same.
  const quoted = ["/c", quote(command)];
  // ruleid: securetag.javascript.shell-not-constant
  spawn("cmd", quoted, { cwd: folder });
  // ok: securetag.javascript.shell-not-constant
  spawn("ls", ["-l"], settings);
  const fixed = ["-c", "ls -l /srv"];
  // ok: securetag.javascript.shell-not-constant
  spawn("sh", fixed);
  const plain = { cwd: folder };
  // ok: securetag.javascript.shell-not-constant
  spawn(command, ["-l"], plain);
}
