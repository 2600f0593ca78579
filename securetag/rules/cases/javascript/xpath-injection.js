const xpath = require("xpath");

function shelf(doc, req) {
  // ruleid: securetag.javascript.xpath-injection
  return xpath.select("//shelf[@id='" + req.params.id + "']", doc);
}

function first(doc, req) {
  const { params } = req;
  // ruleid: securetag.javascript.xpath-injection
  return xpath.select1(`//shelf[@id='${params.id}']`, doc);
}

function numbered(doc, req) {
  const id = Number(req.params.id);
  // ok: securetag.javascript.xpath-injection
  return xpath.select("//shelf[" + id + "]", doc);
}

function shelves(doc, req) {
  // ok: securetag.javascript.xpath-injection
  return xpath.select("//shelf", doc).filter((node) => node.getAttribute("id") === req.params.id);
}
