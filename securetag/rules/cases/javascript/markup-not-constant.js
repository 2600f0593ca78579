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
  // Cleaned: reported all the same.
  // ruleid: securetag.javascript.markup-not-constant
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
