const libxmljs = require("libxmljs2");

function feed(req, res) {
  // ruleid: securetag.javascript.xxe
  const doc = libxmljs.parseXml(req.body, { noent: true, nonet: true });
  res.json(doc.root().name());
}

function catalogue(req, res) {
  // ruleid: securetag.javascript.xxe
  res.json(libxmljs.parseXmlString(req.body.xml, { dtdload: true }));
}

function checked(req, res) {
  if (String(req.body).includes("<!ENTITY")) return res.sendStatus(400);
  // ruleid: securetag.javascript.xxe
  return res.json(libxmljs.parseXml(req.body, { noent: true }));
}

function strict(req, res) {
  // ok: securetag.javascript.xxe
  res.json(libxmljs.parseXml(req.body, { nonet: true }));
}
