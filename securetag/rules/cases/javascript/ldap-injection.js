function byName(client, req, done) {
  // ruleid: securetag.javascript.ldap-injection
  client.search("ou=staff", { scope: "sub", filter: `(uid=${req.query.name})` }, done);
}

function parsed(req) {
  // ruleid: securetag.javascript.ldap-injection
  return parseFilter("(uid=" + req.query.name + ")");
}

function escaped(client, req, done) {
  const name = escapeFilter(req.query.name);
  // ruleid: securetag.javascript.ldap-injection
  client.search("ou=staff", { filter: "(uid=" + name + ")" }, done);
}

function everybody(client, req, done) {
  // ok: securetag.javascript.ldap-injection
  client.search("ou=staff", { scope: "sub", filter: "(objectClass=person)" }, done);
}
