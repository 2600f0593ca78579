function filters(name, options) {
  // ruleid: securetag.javascript.ldap-formatted
  const one = "(uid=" + name + ")";
  // ruleid: securetag.javascript.ldap-formatted
  const two = `(&(objectClass=person)(cn=${name}))`;
  // ruleid: securetag.javascript.ldap-formatted
  const searchFilter = options.filter.replace(/{{name}}/g, name);
  // ruleid: securetag.javascript.ldap-formatted
  const escaped = "(uid=" + escapeFilter(name) + ")";
  // ok: securetag.javascript.ldap-formatted
  const all = "(objectClass=person)";
  // ok: securetag.javascript.ldap-formatted
  const text = "(see " + name + ")";
  return [one, two, searchFilter, escaped, all, text];
}
