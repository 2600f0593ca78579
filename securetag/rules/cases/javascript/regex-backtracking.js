// ruleid: securetag.javascript.regex-backtracking
const words = /^(\w+\s?)*$/;
// ruleid: securetag.javascript.regex-backtracking
const quoted = /([^"]+|"[^"]*")*$/;
// ruleid: securetag.javascript.regex-backtracking
const any = /^(\w|\d)*$/;
// ruleid: securetag.javascript.regex-backtracking
const pair = /^\s*(.*?)\s*=\s*(.*)$/;
// ruleid: securetag.javascript.regex-backtracking
const trailing = /\s+$/;
// ruleid: securetag.javascript.regex-backtracking
const made = new RegExp("(x+x+)+y");
function short(text) {
  // The text is short: reported all the same.
  if (text.length > 20) return false;
  // ruleid: securetag.javascript.regex-backtracking
  return /^(a+)+$/.test(text);
}
// A fixed character keeps two rounds apart.
// ok: securetag.javascript.regex-backtracking
const domain = /^(?:[a-z]+\.)*[a-z]+$/;
// ok: securetag.javascript.regex-backtracking
const letters = /^(a|b)*c[a-z]+$/;
// ok: securetag.javascript.regex-backtracking
const leading = /^\s+/;
// ok: securetag.javascript.regex-backtracking
const dated = /^\d{4}-\d{2}-\d{2}$/;
// ok: securetag.javascript.regex-backtracking
const spaced = /^\w+(?:\s+\w+)*$/;
