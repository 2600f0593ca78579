const vm = require("vm");

function compute(formula, names) {
  // ruleid: securetag.javascript.code-not-constant
  const total = eval(formula);
  // ruleid: securetag.javascript.code-not-constant
  const compiled = new Function("row", "return " + formula);
  // ruleid: securetag.javascript.code-not-constant
  vm.runInNewContext(formula, {});
  // ruleid: securetag.javascript.code-not-constant
  setTimeout("show(" + formula + ")", 10);
  // Only digits and signs are left: reported all the same.
  // ruleid: securetag.javascript.code-not-constant
  const checked = eval(formula.replace(/[^0-9+*-]/g, ""));
  // ok: securetag.javascript.code-not-constant
  const root = new Function("return this")();
  // ok: securetag.javascript.code-not-constant
  const parsed = JSON.parse(formula);
  // ok: securetag.javascript.code-not-constant
  setTimeout(() => show(formula), 10);
  return [total, compiled, checked, root, parsed, names];
}
