function setByPath(target, steps, value) {
  let part = target;
  for (const step of steps.slice(0, -1)) {
    // ruleid: securetag.javascript.nested-key-not-constant
    part[step] = part[step] || {};
    part = part[step];
  }
  // ruleid: securetag.javascript.nested-key-not-constant
  part[steps.at(-1)] = value;
}
function combine(left, right) {
  for (const key in right) {
    if (isObject(right[key])) combine(left[key], right[key]);
    // ruleid: securetag.javascript.nested-key-not-constant
    else left[key] = right[key];
  }
}
const copy = (from, to) => {
  Object.keys(from).forEach((key) => {
    // Refused by another function: reported all the same.
    if (isRefused(key)) return;
    // ruleid: securetag.javascript.nested-key-not-constant
    to[key] = isObject(from[key]) ? copy(from[key], {}) : from[key];
  });
  return to;
};
function shallow(from, to) {
  // ok: securetag.javascript.nested-key-not-constant
  for (const key of Object.keys(from)) to[key] = from[key];
  let part = to.child;
  // ok: securetag.javascript.nested-key-not-constant
  part["name"] = from.name;
}
function tidy(stack, options, kind) {
  let part = stack[0];
  part = stack[stack.length - 1];
  // ok: securetag.javascript.nested-key-not-constant
  part[kind] = part[kind].trim();
  // ok: securetag.javascript.nested-key-not-constant
  part[kind] = part[kind].replace("a", "b").trim();
  // ok: securetag.javascript.nested-key-not-constant
  part[options.childKey] = [];
  // ruleid: securetag.javascript.nested-key-not-constant
  part[kind] = stack.join(part[kind]);
}
function fill(target, keys, value) {
  const key = keys.shift();
  if (keys.length) fill(target[key], keys, value);
  // ruleid: securetag.javascript.nested-key-not-constant
  else target[key] = value;
}
exports.fill = function (target, source) {
  const keys = Object.keys(source);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    // Refused by another function: reported all the same.
    if (isRefused(key)) continue;
    // ruleid: securetag.javascript.nested-key-not-constant
    target[key] = isObject(target[key]) ? exports.fill(target[key], source[key]) : source[key];
  }
};
function renamed(source) {
  const target = {};
  for (const key in source) {
    // Its own prototype at most.
    // ok: securetag.javascript.nested-key-not-constant
    target[key] = isObject(source[key]) ? renamed(source[key]) : source[key];
  }
  return target;
}
function close(parser, stack) {
  const nameKey = parser.options.nameKey;
  const part = stack[stack.length - 1];
  // ok: securetag.javascript.nested-key-not-constant
  part[nameKey] = parser.name();
}
function build(target, steps, value) {
  const step = steps.shift();
  // ok: securetag.javascript.nested-key-not-constant
  if (!target[step]) target[step] = {};
  // ok: securetag.javascript.nested-key-not-constant
  if (Array.isArray(target[step])) target[step] = toObject(target[step]);
  // ruleid: securetag.javascript.nested-key-not-constant
  if (steps.length === 0) target[step] = value;
  else build(target[step], steps, value);
}
