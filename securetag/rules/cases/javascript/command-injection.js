const { exec, execFile } = require("child_process");

app.get("/ping", (req, res) => {
  // ruleid: securetag.javascript.command-injection
  exec("ping -c 1 " + req.query.host, (e, out) => res.send(out));
});

app.get("/tool", (req, res) => {
  // ruleid: securetag.javascript.command-injection
  execFile(req.query.tool, ["--version"], done);
});

app.get("/safe", (req, res) => {
  // ok: securetag.javascript.command-injection
  execFile("ping", ["-c", "1", "--", req.query.host], done);
});

app.get("/pattern", (req, res) => {
  // ok: securetag.javascript.command-injection
  res.json(/a/.exec(req.query.text));
});
