const path = require("path");

function locate(root, request) {
  // ruleid: securetag.javascript.path-from-address
  const file = path.join(root, decodeURIComponent(request.url));
  const { pathname } = new URL(request.href);
  const address = url.parse(request.href).pathname;
  // ruleid: securetag.javascript.path-from-address
  const other = root + address;
  // Checked afterwards: reported all the same.
  // ruleid: securetag.javascript.path-from-address
  const third = path.resolve(root, unescape(pathname));
  if (!third.startsWith(root)) return null;
  // ok: securetag.javascript.path-from-address
  const fixed = path.join(root, "index.html");
  // ok: securetag.javascript.path-from-address
  return [file, other, third, fixed, path.join(root, request.name)];
}
