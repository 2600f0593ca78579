// ruleid: securetag.javascript.random-text
const boundary = Math.random().toString(36);
// ruleid: securetag.javascript.random-text
const id = Math.floor(Math.random() * 0x10000000000).toString(16);
// The clock is added: reported all the same.
// ruleid: securetag.javascript.random-text
const mixed = Date.now() + Math.random().toString(16).slice(2);
// ok: securetag.javascript.random-text
const dice = Math.floor(Math.random() * 6) + 1;
// ok: securetag.javascript.random-text
const safe = crypto.randomBytes(12).toString("hex");
