function show(element, text) {
  // ruleid: securetag.javascript.markup-not-constant
  element.innerHTML = text;
  // ruleid: securetag.javascript.markup-not-constant
  element.insertAdjacentHTML("beforeend", text);
  // ruleid: securetag.javascript.markup-not-constant
  $(element).html(text);
  // ruleid: securetag.javascript.markup-not-constant
  $(element)[text.isHtml ? "html" : "text"](text);
  // ruleid: securetag.javascript.markup-not-constant
  const props = { dangerouslySetInnerHTML: { __html: text } };
  // ruleid: securetag.javascript.markup-not-constant
  sanitizer.bypassSecurityTrustHtml(text);
  // ruleid: securetag.javascript.markup-not-constant
  $scope.text = $sce.trustAsHtml(text);
  // Cleaned by a function that isn't known: reported all the same.
  // ruleid: securetag.javascript.markup-not-constant
  element.innerHTML = clean(text);
  // ok: securetag.javascript.markup-not-constant
  element.innerHTML = Number(text);
  // ok: securetag.javascript.markup-not-constant
  element.innerHTML = DOMPurify.sanitize(text);
  // ok: securetag.javascript.markup-not-constant
  element.innerHTML = "<br>";
  // ok: securetag.javascript.markup-not-constant
  element.textContent = text;
  // ok: securetag.javascript.markup-not-constant
  return [props, $(element).html()];
}

function show($tip, element, text) {
  // ruleid: securetag.javascript.markup-not-constant
  $tip.html(text);
  // ok: securetag.javascript.markup-not-constant
  element.text(text);
}
function attach(options, element) {
  // ruleid: securetag.javascript.markup-not-constant
  const parent = $(options.parent);
  // ruleid: securetag.javascript.markup-not-constant
  const target = $(element.getAttribute("data-target"));
  // ok: securetag.javascript.markup-not-constant
  const body = $("body");
  // ok: securetag.javascript.markup-not-constant
  return [parent, target, body, $(element)];
}
function handlers(element, text) {
  // ruleid: securetag.javascript.markup-not-constant
  element.setAttribute("onclick", "show(" + text + ")");
  // ruleid: securetag.javascript.markup-not-constant
  const parsed = $.parseHTML(text);
  // ruleid: securetag.javascript.markup-not-constant
  const link = $("<a/>", { class: "link", html: text });
  // Escaped: reported all the same.
  // ruleid: securetag.javascript.markup-not-constant
  element.setAttribute("onload", escape(text));
  // ok: securetag.javascript.markup-not-constant
  element.setAttribute("onclick", "show()");
  // ok: securetag.javascript.markup-not-constant
  element.setAttribute("title", text);
  // ok: securetag.javascript.markup-not-constant
  return [parsed, link, $("<a/>", { text: text })];
}
function build(options, settings, $box) {
  // ruleid: securetag.javascript.markup-not-constant
  const tip = $(options.template);
  // ruleid: securetag.javascript.markup-not-constant
  $box.append(settings.headerHtml);
  // ruleid: securetag.javascript.markup-not-constant
  this.$heading.prepend(this.options.title);
  // Escaped before, by another function: reported all the same.
  check(options.caption);
  // ruleid: securetag.javascript.markup-not-constant
  box().before(options.caption);
  // An element, or no text by its name.
  // ok: securetag.javascript.markup-not-constant
  const table = $(settings.table);
  // ok: securetag.javascript.markup-not-constant
  $box.append(settings.headerElement);
  // ok: securetag.javascript.markup-not-constant
  formData.append(options.label);
  return [tip, table];
}
