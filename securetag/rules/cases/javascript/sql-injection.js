app.get("/item", (req, res) => {
  // ruleid: securetag.javascript.sql-injection
  db.query("SELECT * FROM item WHERE id = " + req.query.id, (e, rows) => res.json(rows));
});

app.get("/user/:name", async (req, res) => {
  const name = req.params.name;
  // ruleid: securetag.javascript.sql-injection
  res.json(await pool.query(`SELECT * FROM person WHERE name = '${name}'`));
});

app.get("/sorted", async ({ query }, res) => {
  const column = COLUMNS.includes(query.sort) ? query.sort : "name";
  // ruleid: securetag.javascript.sql-injection
  res.json(await knex.raw("SELECT * FROM item ORDER BY " + column));
});

app.get("/bound", (req, res) => {
  // ok: securetag.javascript.sql-injection
  db.query("SELECT * FROM item WHERE id = ?", [req.query.id], (e, rows) => res.json(rows));
});

app.get("/all", (req, res) => {
  // ok: securetag.javascript.sql-injection
  db.all("SELECT * FROM item", (e, rows) => res.json(rows));
});

app.get("/values", async (req, res) => {
  // ok: securetag.javascript.sql-injection
  await db.query({ text: "SELECT * FROM item WHERE id = $1", values: [req.query.id] });
  const statement = { text: "SELECT * FROM item WHERE id = $1", values: [req.query.id] };
  // ok: securetag.javascript.sql-injection
  await db.query(statement);
  // ok: securetag.javascript.sql-injection
  await db.query(sql`SELECT * FROM item WHERE id = ${req.query.id}`);
  const page = parseInt(req.query.page, 10);
  // ok: securetag.javascript.sql-injection
  await db.query(`SELECT * FROM item LIMIT 20 OFFSET ${page}`);
  // ruleid: securetag.javascript.sql-injection
  await db.query({ text: "SELECT * FROM item ORDER BY " + req.query.sort, values: [] });
  // Encoded for an address: reported all the same.
  // ruleid: securetag.javascript.sql-injection
  await db.query("SELECT * FROM item WHERE name = '" + encodeURIComponent(req.query.name) + "'");
  res.end();
});
