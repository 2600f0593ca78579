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
const { runInNewContext } = require("vm");
const AsyncFunction = Object.getPrototypeOf(async function () {}).constructor;
function later(formula) {
  // ruleid: securetag.javascript.code-not-constant
  const now = runInNewContext(formula, {});
  // ruleid: securetag.javascript.code-not-constant
  const soon = new AsyncFunction(formula);
  // Encoded: reported all the same.
  // ruleid: securetag.javascript.code-not-constant
  const encoded = runInNewContext(JSON.stringify(formula));
  // ok: securetag.javascript.code-not-constant
  const fixed = runInNewContext("1 + 1");
  // ok: securetag.javascript.code-not-constant
  return [now, soon, encoded, fixed, new AsyncFunction("return 1")];
}
const { Script } = require("vm");
function builtOtherwise(formula, name) {
  // ruleid: securetag.javascript.code-not-constant
  const made = Reflect.construct(Function, [name, formula]);
  // ruleid: securetag.javascript.code-not-constant
  const reached = [].constructor.constructor(formula);
  // ruleid: securetag.javascript.code-not-constant
  const script = new Script(formula);
  // ruleid: securetag.javascript.code-not-constant
  window.setTimeout("show(" + formula + ")", 10);
  // Encoded: reported all the same.
  // ruleid: securetag.javascript.code-not-constant
  const encoded = new Script(JSON.stringify(formula));
  // ok: securetag.javascript.code-not-constant
  const fixed = new Script("1 + 1");
  // ok: securetag.javascript.code-not-constant
  window.setTimeout(() => show(formula), 10);
  // ok: securetag.javascript.code-not-constant
  return [made, reached, script, encoded, fixed, Reflect.construct(Date, [formula])];
}
