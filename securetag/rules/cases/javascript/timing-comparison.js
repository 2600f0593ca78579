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
