function clean(text) {
  // ruleid: securetag.javascript.markup-removed
  const scripts = text.replace(/<script[^>]*>/gi, "");
  // ruleid: securetag.javascript.markup-removed
  const handlers = text.replace(/on\w+="[^"]*"/gi, "");
  // ruleid: securetag.javascript.markup-removed
  const first = text.replace("<", "&lt;");
  // Escaped afterwards: reported all the same.
  // ruleid: securetag.javascript.markup-removed
  const escaped = escapeHtml(text.replace(/javascript:/i, ""));
  // ok: securetag.javascript.markup-removed
  const all = text.replace(/</g, "&lt;");
  // ok: securetag.javascript.markup-removed
  const wrapped = text.replace(/<script>(.*)<\/script>/g, "$1;");
  // ok: securetag.javascript.markup-removed
  return [scripts, handlers, first, escaped, all, wrapped, text.replace(/only \w+/g, "")];
}
