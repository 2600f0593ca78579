// ruleid: securetag.javascript.weak-hash
const a = crypto.createHash("md5").update(text).digest("hex");

// ruleid: securetag.javascript.weak-hash
const b = crypto.createHmac("sha1", key);

// ok: securetag.javascript.weak-hash
const c = crypto.createHash("sha256").update(text).digest("hex");
