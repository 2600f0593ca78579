function parse(text) {
  // ruleid: securetag.javascript.xml-entities
  const one = libxmljs.parseXml(text, { noent: true });
  // ruleid: securetag.javascript.xml-entities
  const two = libxmljs.parseXmlString(text, { dtdload: true });
  // ruleid: securetag.javascript.xml-entities
  const checked = libxmljs.parseXml(refuseEntities(text), { noent: true });
  // ok: securetag.javascript.xml-entities
  return [one, two, checked, libxmljs.parseXml(text, { noent: false, nonet: true })];
}
