const os = require("os");
const path = require("path");

function save(text) {
  // ruleid: securetag.javascript.temporary-name
  const file = path.join(os.tmpdir(), "report.txt");
  // ruleid: securetag.javascript.temporary-name
  const other = os.tmpdir() + "/report-" + process.pid;
  // ruleid: securetag.javascript.temporary-name
  fs.writeFileSync("/tmp/report.txt", text);
  // A random name, opened only if it is new: reported all the same.
  // ruleid: securetag.javascript.temporary-name
  const third = path.join(os.tmpdir(), crypto.randomUUID());
  // ok: securetag.javascript.temporary-name
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "report-"));
  // ok: securetag.javascript.temporary-name
  fs.writeFileSync("/srv/report.txt", text);
  return [file, other, third, folder];
}
