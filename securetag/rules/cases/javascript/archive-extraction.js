const path = require("path");

function unpack(archive, target) {
  for (const entry of archive.entries()) {
    // ruleid: securetag.javascript.archive-extraction
    entry.pipe(write(path.join(target, entry.path)));
    // ruleid: securetag.javascript.archive-extraction
    const file = path.resolve(target, entry.fileName);
    // Compared afterwards: reported all the same.
    // ruleid: securetag.javascript.archive-extraction
    const checked = path.join(target, entry.entryName);
    if (!checked.startsWith(target + path.sep)) continue;
    // ok: securetag.javascript.archive-extraction
    write(path.join(target, "entry.txt"));
    // ok: securetag.javascript.archive-extraction
    write(path.join(target, String(entry.size)));
    use(file, checked);
  }
}
