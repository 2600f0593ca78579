function parseQuery(text) {
  const fields = {};
  for (const pair of text.split("&")) {
    const [key, value] = pair.split("=");
    // ruleid: securetag.javascript.key-from-text
    fields[key] = parse(value);
    // A text, number or flag under the key __proto__ changes nothing.
    // ok: securetag.javascript.key-from-text
    fields[key] = value;
    // ok: securetag.javascript.key-from-text
    fields[key] = fields[key] ? fields[key] + ", " + value : value;
  }
  return fields;
}
function parseLine(line, settings) {
  const parts = /^(\w+)=(.*)$/.exec(line);
  // ruleid: securetag.javascript.key-from-text
  settings[parts[1]] = JSON.parse(parts[2]);
  // ok: securetag.javascript.key-from-text
  settings[parts[1]] = parts[2];
  const name = decodeURIComponent(line);
  // Refused by another function: reported all the same.
  if (isRefused(name)) return;
  // ruleid: securetag.javascript.key-from-text
  settings[name] = {};
  // ok: securetag.javascript.key-from-text
  settings[name] = true;
}
function count(text) {
  const total = new Map();
  // ok: securetag.javascript.key-from-text
  for (const word of text.split(" ")) total.set(word, 1);
  const first = {};
  // ok: securetag.javascript.key-from-text
  first["word"] = text.split(" ")[0];
  const lists = Object.create(null);
  // No prototype.
  // ok: securetag.javascript.key-from-text
  for (const word of text.split(" ")) lists[word] = [word];
  return [total, first, lists];
}
