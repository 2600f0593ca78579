function login(req, user) {
  // ruleid: securetag.javascript.session-fixation
  req.session.user = user;
}
function remember(request, user) {
  // ruleid: securetag.javascript.session-fixation
  request.session.userId = user.id;
}
function clearFirst(req, user) {
  req.session.cart = null;
  // Emptied, but with the same identifier: reported all the same.
  // ruleid: securetag.javascript.session-fixation
  req.session.user = user;
}
function regenerated(req, user) {
  req.session.regenerate(() => {
    // ok: securetag.javascript.session-fixation
    req.session.user = user;
  });
}
function logout(req) {
  // ok: securetag.javascript.session-fixation
  req.session.user = null;
}
