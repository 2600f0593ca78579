function find(users, text, conditions) {
  // ruleid: securetag.javascript.query-operator
  users.find({ $where: text });
  // ruleid: securetag.javascript.query-operator
  users.$where(text);
  // Looked for at one depth only.
  // ruleid: securetag.javascript.query-operator
  if ("$where" in conditions) return null;
  // ok: securetag.javascript.query-operator
  users.find({ $where: "this.a == this.b" });
  // ok: securetag.javascript.query-operator
  return users.find({ name: String(text) });
}
