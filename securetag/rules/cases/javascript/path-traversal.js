app.get("/file", (req, res) => {
  // ruleid: securetag.javascript.path-traversal
  fs.readFile("reports/" + req.query.name, (e, data) => res.end(data));
});

app.get("/download", (req, res) => {
  const file = path.join(BASE, req.query.name);
  // ruleid: securetag.javascript.path-traversal
  res.sendFile(file);
});

app.get("/checked", (req, res) => {
  const file = path.resolve(BASE, req.query.name);
  if (!file.startsWith(BASE + path.sep)) return res.sendStatus(404);
  // ruleid: securetag.javascript.path-traversal
  res.sendFile(file);
});

app.get("/constant", (req, res) => {
  // ok: securetag.javascript.path-traversal
  res.sendFile("/srv/shop/index.html");
});

app.post("/note", (req, res) => {
  // ok: securetag.javascript.path-traversal
  fs.writeFile("note.txt", req.body.note, () => res.end());
});
async function keep(req) {
  // ruleid: securetag.javascript.path-traversal
  await req.files.photo.mv("./uploads/" + req.files.photo.name);
  // ok: securetag.javascript.path-traversal
  await req.files.photo.mv("./uploads/photo.png");
}

app.get("/part", (req, res) => {
  // ok: securetag.javascript.path-traversal
  fs.createReadStream("/srv/files/" + path.basename(req.query.name)).pipe(res);
  const year = Number(req.query.year);
  // ok: securetag.javascript.path-traversal
  fs.createReadStream(`/srv/files/${year}.pdf`).pipe(res);
  // Escaped for HTML: reported all the same.
  // ruleid: securetag.javascript.path-traversal
  fs.createReadStream("/srv/files/" + escapeHtml(req.query.name)).pipe(res);
});

// A folder that is written down is no bound: `..` leads out of it.
app.get("/below", (req, res) => {
  // ruleid: securetag.javascript.path-traversal
  fs.createReadStream(`${UPLOADS}/${req.query.name}`).pipe(res);
  // ruleid: securetag.javascript.path-traversal
  fs.createReadStream(config.folder + "/" + req.query.name).pipe(res);
  // ok: securetag.javascript.path-traversal
  fs.createReadStream(`${UPLOADS}/${path.basename(req.query.name)}`).pipe(res);
});
