function matcher(words) {
  // ruleid: securetag.javascript.regex-not-constant
  return new RegExp(words, "i");
}
const replacer = (name) => {
  const text = "{{" + name + "}}";
  // ruleid: securetag.javascript.regex-not-constant
  return RegExp(text, "g");
};
function escaped(words) {
  // ruleid: securetag.javascript.regex-not-constant
  return new RegExp(escapeRegExp(words));
}
function fixed(words) {
  // ok: securetag.javascript.regex-not-constant
  return new RegExp("^[a-z]+$").test(words);
}
