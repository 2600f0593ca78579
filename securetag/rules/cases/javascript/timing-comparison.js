function check(request, expectedSignature, apiKey) {
  // ruleid: securetag.javascript.timing-comparison
  if (expectedSignature !== request.headers.signature) return false;
  // ruleid: securetag.javascript.timing-comparison
  if (apiKey === request.query.key) return true;
  // ruleid: securetag.javascript.timing-comparison
  if (hmac.digest("hex") === request.body.mac) return true;
  // The length is compared first: reported all the same.
  // ruleid: securetag.javascript.timing-comparison
  return apiKey.length === 32 && apiKey === request.body.key;
}
function checkSafely(signature, expected) {
  // ok: securetag.javascript.timing-comparison
  if (signature === undefined) return false;
  // ok: securetag.javascript.timing-comparison
  if (signature === "none") return false;
  // ok: securetag.javascript.timing-comparison
  return crypto.timingSafeEqual(signature, expected);
}
function hook(req, token) {
  // ruleid: securetag.javascript.timing-comparison
  if (req.headers["x-token"] === process.env.HOOK_TOKEN) return true;
  // ruleid: securetag.javascript.timing-comparison
  if (process.env.API_KEY !== req.query.key) return false;
  // ruleid: securetag.javascript.timing-comparison
  if (req.headers["x-hub-signature"] === token) return true;
  // ok: securetag.javascript.timing-comparison
  if (process.env.HOOK_TOKEN === undefined) return false;
  // ok: securetag.javascript.timing-comparison
  return process.env.NODE_ENV === token;
}
