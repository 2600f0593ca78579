function shelves(id, doc) {
  // ruleid: securetag.javascript.xpath-formatted
  const one = xpath.select("//shelf[@id='" + id + "']", doc);
  // ruleid: securetag.javascript.xpath-formatted
  const two = document.evaluate(`//shelf[${id}]`, doc);
  // ruleid: securetag.javascript.xpath-formatted
  const checked = xpath.select("//shelf[" + Number(id) + "]", doc);
  // ok: securetag.javascript.xpath-formatted
  return [one, two, checked, xpath.select("//shelf", doc)];
}
