function byName(name) {
  // ruleid: securetag.javascript.sql-text
  return "SELECT id FROM customer WHERE name = '" + name + "'";
}
function remove(table, id) {
  // ruleid: securetag.javascript.sql-text
  return `DELETE FROM ${table} WHERE id = ${id}`;
}
function long(name) {
  // ruleid: securetag.javascript.sql-text
  return "SELECT id " + "FROM customer WHERE name = " + name;
}
function quoted(name) {
  // Quoted by the driver: reported all the same.
  // ruleid: securetag.javascript.sql-text
  return "INSERT INTO customer VALUES (" + mysql.escape(name) + ")";
}
// ruleid: securetag.javascript.sql-text
const condition = (name, value) => `${name} = '${value}'`;
// ok: securetag.javascript.sql-text
const attribute = (value) => `<a class='${value}'>`;
// ok: securetag.javascript.sql-text
const ALL = "SELECT id, name " + "FROM customer";
// ok: securetag.javascript.sql-text
const bound = (name) => sql`SELECT id FROM customer WHERE name = ${name}`;
// ok: securetag.javascript.sql-text
const label = (what) => "Select the colour from " + what;
// ok: securetag.javascript.sql-text
const drop = (name) => `DROP TABLE ${this.quoteTable(name)} `;
// ok: securetag.javascript.sql-text
const empty = (name) => "DELETE FROM " + db.escapeId(name);
// A name beside a value.
// ruleid: securetag.javascript.sql-text
const clear = (name, id) => `DELETE FROM ${quoteIdentifier(name)} WHERE id = ${id}`;
// Names in capitals, numbers by their form and lists of placeholders are no values.
// ok: securetag.javascript.sql-text
const ofTable = () => `SELECT id FROM ${TABLE}`;
// ok: securetag.javascript.sql-text
const many = (ids) => `DELETE FROM customer WHERE id IN (${ids.map(() => "?").join(", ")})`;
// ok: securetag.javascript.sql-text
const counted = (names) => "UPDATE customer SET children = " + names.length;
// ruleid: securetag.javascript.sql-text
const joined = (column, value) => column + " = '" + value + "'";
// ok: securetag.javascript.sql-text
const assigned = (name, value) => name + "='" + value + "'";
// One of two texts that are written down.
// ok: securetag.javascript.sql-text
const inOrder = (falling) => `SELECT id FROM customer ORDER BY name ${falling ? "DESC" : "ASC"}`;
function sorted(falling, column) {
  const order = falling ? "DESC" : "ASC";
  // ok: securetag.javascript.sql-text
  const byName = "SELECT id FROM customer ORDER BY name " + order;
  // ruleid: securetag.javascript.sql-text
  return [byName, `SELECT id FROM customer ORDER BY ${column} ${order}`];
}
