function leave(res, target) {
  // ruleid: securetag.javascript.redirect-not-constant
  res.redirect(target);
  // ruleid: securetag.javascript.redirect-not-constant
  res.redirect(301, target + "/");
  // ruleid: securetag.javascript.redirect-not-constant
  res.setHeader("Location", target);
  // ruleid: securetag.javascript.redirect-not-constant
  window.location.href = target;
  // ruleid: securetag.javascript.redirect-not-constant
  res.redirect(encodeURI(target));
  // ok: securetag.javascript.redirect-not-constant
  res.redirect("/home");
  // ok: securetag.javascript.redirect-not-constant
  res.setHeader("X-Shop", target);
}
function moved(response, address) {
  // ruleid: securetag.javascript.redirect-not-constant
  response.writeHead(302, { Location: address });
  // ok: securetag.javascript.redirect-not-constant
  response.writeHead(302, { Location: "/login" });
}
