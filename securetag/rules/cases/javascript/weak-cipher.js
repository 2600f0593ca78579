// ruleid: securetag.javascript.weak-cipher
const a = crypto.createCipheriv("aes-128-ecb", key, null);

// ruleid: securetag.javascript.weak-cipher
const b = crypto.createCipheriv("des-ede3-cbc", key, iv);

// ok: securetag.javascript.weak-cipher
const c = crypto.createCipheriv("aes-256-gcm", key, nonce);
