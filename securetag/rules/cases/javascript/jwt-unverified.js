// ruleid: securetag.javascript.jwt-unverified
const claims = jwt.decode(token);

// ruleid: securetag.javascript.jwt-unverified
const none = jwt.verify(token, key, { algorithms: ["HS256", "none"] });

// ok: securetag.javascript.jwt-unverified
const verified = jwt.verify(token, key, { algorithms: ["HS256"] });

// ruleid: securetag.javascript.jwt-unverified
const other = jose.decodeJwt(token);

// ok: securetag.javascript.jwt-unverified
const text = base64.decode(token);
