function cell(value) {
  // ruleid: securetag.javascript.html-in-code
  return "<td>" + value + "</td>";
}
function link(url, text) {
  // ruleid: securetag.javascript.html-in-code
  return `<a href="${url}">${text}</a>`;
}
function after(head, text) {
  // ruleid: securetag.javascript.html-in-code
  return head + "<p class='a'>" + text;
}
function escaped(value) {
  // ruleid: securetag.javascript.html-in-code
  return "<td>" + escapeHtml(value) + "</td>";
}
// ok: securetag.javascript.html-in-code
const LINE = "<hr>" + "<br>";
// ok: securetag.javascript.html-in-code
const lit = (value) => html`<td>${value}</td>`;
// ok: securetag.javascript.html-in-code
const less = (a, b) => "a <" + a + "b" + b;
function link(text) {
  // ruleid: securetag.javascript.html-in-code
  const linked = text.replace(/(https:\S+)/g, '<a href="$1">$1</a>');
  // ruleid: securetag.javascript.html-in-code
  const closed = text.replace(/<(\w+)\/>/g, "<$1></$1>");
  // ok: securetag.javascript.html-in-code
  return [linked, closed, text.replace(/(\w+)/g, "[$1]")];
}
// ok: securetag.javascript.html-in-code
const linkHeader = (address, kind) => "<" + address + '>; rel="' + kind + '"';
// ruleid: securetag.javascript.html-in-code
const emptyTag = (name) => "<" + name + ">";
