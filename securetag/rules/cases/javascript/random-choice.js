function makeId(length) {
  let id = "";
  // ruleid: securetag.javascript.random-choice
  for (let i = 0; i < length; i++) id += LETTERS[Math.floor(Math.random() * LETTERS.length)];
  return id;
}
function createToken() {
  // ruleid: securetag.javascript.random-choice
  return "t" + Math.random();
}
// Used for colors only: reported all the same.
function color() {
  // ruleid: securetag.javascript.random-choice
  return COLORS[Math.floor(Math.random() * COLORS.length)];
}
function delay() {
  // ok: securetag.javascript.random-choice
  return 100 + Math.random() * 50;
}
function safeId() {
  // ok: securetag.javascript.random-choice
  return LETTERS[crypto.randomInt(LETTERS.length)];
}
