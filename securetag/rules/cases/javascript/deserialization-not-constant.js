const serialize = require("node-serialize");

function load(text) {
  // ruleid: securetag.javascript.deserialization-not-constant
  const one = serialize.unserialize(text);
  // ruleid: securetag.javascript.deserialization-not-constant
  const two = v8.deserialize(text);
  // ruleid: securetag.javascript.deserialization-not-constant
  const checked = serialize.unserialize(verify(text));
  // ok: securetag.javascript.deserialization-not-constant
  return [one, two, checked, JSON.parse(text)];
}
function settings(text) {
  // ruleid: securetag.javascript.deserialization-not-constant
  const read = yaml.load(text);
  // ok: securetag.javascript.deserialization-not-constant
  return [read, yaml.load("a: 1"), JSON.parse(text)];
}
