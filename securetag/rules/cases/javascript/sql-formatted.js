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
function filled(db, template, id) {
  // ruleid: securetag.javascript.sql-formatted
  const sql = SqlString.format(template, [id]);
  // ruleid: securetag.javascript.sql-formatted
  const shownSql = formatNamed(template, { id });
  // ruleid: securetag.javascript.sql-formatted
  db.query(util.format("SELECT name FROM customer WHERE id = %s", id));
  // ruleid: securetag.javascript.sql-formatted
  db.query(template.replace(":id", id));
  // Escaped: reported all the same.
  // ruleid: securetag.javascript.sql-formatted
  db.query(format(template, db.escape(id)));
  // ok: securetag.javascript.sql-formatted
  const text = format(template, id);
  // ok: securetag.javascript.sql-formatted
  const sqlOfPretty = formatter.pretty(template);
  return [sql, shownSql, text, sqlOfPretty];
}
function step(db, value, column) {
  const sign = value < 0 ? "-" : "+";
  // ok: securetag.javascript.sql-formatted
  const next = db.raw(`?? ${sign} ?`, [column, value]);
  // ruleid: securetag.javascript.sql-formatted
  return [next, db.raw(`${column} ${sign} ?`, [value])];
}
