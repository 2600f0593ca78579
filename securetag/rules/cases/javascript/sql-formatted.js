function byName(db, where) {
  // ruleid: securetag.javascript.sql-formatted
  return db.query(PREFIX + where);
}
function byId(knex, id) {
  // ruleid: securetag.javascript.sql-formatted
  return knex.whereRaw(`id = ${id}`);
}
function escaped(db, id) {
  // ruleid: securetag.javascript.sql-formatted
  return db.execute(`${PREFIX} ${db.escape(id)}`);
}
function bound(db, id) {
  // ok: securetag.javascript.sql-formatted
  return db.query("SELECT name FROM customer WHERE id = ?", [id]);
}
