// ruleid: securetag.javascript.weak-random
const resetToken = Math.random().toString(36).slice(2);

function newSessionId() {
  // ruleid: securetag.javascript.weak-random
  return Date.now() + "-" + Math.random();
}

// ok: securetag.javascript.weak-random
const token = crypto.randomBytes(32).toString("hex");

// ok: securetag.javascript.weak-random
const roll = Math.floor(Math.random() * 6) + 1;
