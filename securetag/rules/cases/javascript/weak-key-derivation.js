// ruleid: securetag.javascript.weak-key-derivation
const key = crypto.pbkdf2Sync(password, salt, 1000, 32, "sha256");

// ruleid: securetag.javascript.weak-key-derivation
const defaults = { keySize: 4, iterations: 1 };

// ruleid: securetag.javascript.weak-key-derivation
const cipher = crypto.createCipher("aes-256-cbc", password);

// The password is a random key: reported all the same.
// ruleid: securetag.javascript.weak-key-derivation
const random = crypto.pbkdf2Sync(crypto.randomBytes(32), salt, 1, 32, "sha256");

// ok: securetag.javascript.weak-key-derivation
const slow = crypto.pbkdf2Sync(password, salt, 600000, 32, "sha256");

// ok: securetag.javascript.weak-key-derivation
const vector = crypto.createCipheriv("aes-256-gcm", slow, nonce);
