const processes = require("child_process");
const nodeProcesses = require("node:child_process");
const { exec: run } = require("child_process");
const runLater = util.promisify(exec);

async function archive(folder) {
  // ruleid: securetag.javascript.shell-alias
  processes.exec(`ls ${folder}`);
  // ruleid: securetag.javascript.shell-alias
  nodeProcesses.exec(`ls ${folder}`);
  // ok: securetag.javascript.shell-alias
  nodeProcesses.execFile("ls", [folder]);
  // ruleid: securetag.javascript.shell-alias
  run("tar czf out.tgz " + folder);
  // Quoted: reported all the same.
  // ruleid: securetag.javascript.shell-alias
  await runLater("ls " + quote(folder));
  // ok: securetag.javascript.shell-alias
  run("ls -l /srv");
  // ok: securetag.javascript.shell-alias
  other(folder);
}
