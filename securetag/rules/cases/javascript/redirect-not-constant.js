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
function leaveNext(target) {
  // ruleid: securetag.javascript.redirect-not-constant
  return NextResponse.redirect(target);
}
function homeNext() {
  // ok: securetag.javascript.redirect-not-constant
  return NextResponse.redirect("/home");
}
function sendElsewhere(res, target) {
  // ruleid: securetag.javascript.redirect-not-constant
  res.headers.location = target;
  // ruleid: securetag.javascript.redirect-not-constant
  res.headers["Location"] = target;
  // ruleid: securetag.javascript.redirect-not-constant
  top.location.href = target;
  // Encoded: reported all the same.
  // ruleid: securetag.javascript.redirect-not-constant
  self.location = encodeURI(target);
  // ok: securetag.javascript.redirect-not-constant
  res.headers.location = "/home";
  // ok: securetag.javascript.redirect-not-constant
  res.headers.vary = target;
  // ok: securetag.javascript.redirect-not-constant
  top.location.href = "/home";
  // ruleid: securetag.javascript.redirect-not-constant
  return new Response(null, { status: 302, headers: { Location: target } });
}
function sendHome() {
  // ok: securetag.javascript.redirect-not-constant
  return new Response(null, { status: 302, headers: { Location: "/home" } });
}
function below(res, target) {
  // ruleid: securetag.javascript.redirect-not-constant
  res.redirect("/" + target);
  // ok: securetag.javascript.redirect-not-constant
  res.redirect("/login?next=" + target);
  // ok: securetag.javascript.redirect-not-constant
  window.location.href = `/shelf/${target}`;
}
