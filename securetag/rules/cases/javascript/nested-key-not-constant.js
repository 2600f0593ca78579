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
