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
function escaped(value, count) {
  // ok: securetag.javascript.html-in-code
  const number = `<td>${parseInt(count, 10)}</td>`;
  // Cleaned by a function that isn't known: reported all the same.
  // ruleid: securetag.javascript.html-in-code
  const cleaned = "<td>" + clean(value) + "</td>";
  // ok: securetag.javascript.html-in-code
  return number + cleaned + "<td>" + escapeHtml(value) + "</td>";
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
function filled(name, rows) {
  // ruleid: securetag.javascript.html-in-code
  const item = sprintf("<li title='%s'>%s</li>", name, name);
  // ruleid: securetag.javascript.html-in-code
  const link = '<a href="{url}">'.replace("{url}", name);
  // ruleid: securetag.javascript.html-in-code
  const row = ["<td>", name, "</td>"].join("");
  // Escaped: reported all the same.
  // ruleid: securetag.javascript.html-in-code
  const safe = util.format("<p>%s</p>", escapeHtml(name));
  // ok: securetag.javascript.html-in-code
  const text = sprintf("%s items", name);
  // ok: securetag.javascript.html-in-code
  const line = ["<hr>", "<br>"].join("");
  // ok: securetag.javascript.html-in-code
  const other = name.replace("{url}", rows);
  // A number by its form, and a name in capitals.
  // ok: securetag.javascript.html-in-code
  const count = "<td>" + rows.length + "</td>";
  // ok: securetag.javascript.html-in-code
  return [item, link, row, safe, text, line, other, count, `<td>${MAX_ROWS}</td>`];
}
function complain(name) {
  // ok: securetag.javascript.html-in-code
  console.warn("No <form> of this name: <form name=" + name);
  // ok: securetag.javascript.html-in-code
  throw new Error(`Expected a <table> with the column ${name}`);
}
function row(open, name) {
  const state = open ? "open" : "closed";
  // ok: securetag.javascript.html-in-code
  const cell = `<td class="${state}">`;
  // ok: securetag.javascript.html-in-code
  const mark = `<td>${open ? "yes" : "no"}</td>`;
  // ruleid: securetag.javascript.html-in-code
  return [cell, mark, `<td>${open ? name : "no"}</td>`];
}
