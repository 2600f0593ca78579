function clause(order, table, limit) {
  // ruleid: securetag.javascript.sql-fragment
  let text = " ORDER BY " + order;
  // ruleid: securetag.javascript.sql-fragment
  text += ` LIMIT ${limit}`;
  // ruleid: securetag.javascript.sql-fragment
  const name = table.replace(/`/g, "``");
  // Made a number first: reported all the same.
  // ruleid: securetag.javascript.sql-fragment
  text += " OFFSET " + Number(limit);
  // ok: securetag.javascript.sql-fragment
  text += ` ORDER BY ${this.quoteIdentifier(order)}`;
  // ok: securetag.javascript.sql-fragment
  text += " ORDER BY " + "name";
  // ok: securetag.javascript.sql-fragment
  const message = "The order by " + order;
  // ok: securetag.javascript.sql-fragment
  return [text, name, message, table.replace(/-/g, "_")];
}
function lower(order, name) {
  // ruleid: securetag.javascript.sql-fragment
  let text = " order by " + order;
  // ruleid: securetag.javascript.sql-fragment
  text = name + " where " + order;
  // Quoted: reported all the same.
  // ruleid: securetag.javascript.sql-fragment
  text += " having " + escape(order);
  // ok: securetag.javascript.sql-fragment
  text += "the place where " + order;
  // ok: securetag.javascript.sql-fragment
  return text + " LIMIT " + MAX_ROWS;
}
function ordered(falling, column) {
  const order = falling ? "DESC" : "ASC";
  // ok: securetag.javascript.sql-fragment
  const byName = `ORDER BY ${order}`;
  // ruleid: securetag.javascript.sql-fragment
  return [byName, `ORDER BY ${column ? column : "name"}`];
}
