const path = require("path");

function unpack(entry, destination) {
  const name = entry.fileName;
  // ruleid: securetag.javascript.entry-name-joined
  const target = path.join(destination, name);
  // ruleid: securetag.javascript.entry-name-joined
  fs.createWriteStream(entry.path);
  // ruleid: securetag.javascript.entry-name-joined
  const upload = destination + "/" + file.originalname;
  // Cleaned first: reported all the same.
  // ruleid: securetag.javascript.entry-name-joined
  const cleaned = path.resolve(destination, sanitize(entry.linkname));
  // ok: securetag.javascript.entry-name-joined
  const fixed = path.join(destination, "data.json");
  // ok: securetag.javascript.entry-name-joined
  const label = "Entry " + entry.fileName;
  return [target, upload, cleaned, fixed, label, path.join(destination, makeName())];
}
function unpackAll(zip, out) {
  for (const name of Object.keys(zip.files)) {
    // ruleid: securetag.javascript.entry-name-joined
    save(path.join(out, name), zip.files[name]);
  }
  zip.forEach((name, entry) => {
    // Cleaned first: reported all the same.
    // ruleid: securetag.javascript.entry-name-joined
    save(path.resolve(out, sanitize(name)), entry);
  });
  // ok: securetag.javascript.entry-name-joined
  list.forEach((name, index) => save(path.join(out, name), index));
}
