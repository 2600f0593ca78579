function compile(name, body) {
  // ruleid: securetag.javascript.code-text
  let source = "var " + name;
  // ruleid: securetag.javascript.code-text
  source += "return " + body;
  // ruleid: securetag.javascript.code-text
  source += `return ${body};`;
  // Written as JSON: reported all the same.
  // ruleid: securetag.javascript.code-text
  source += "return " + JSON.stringify(body);
  // ok: securetag.javascript.code-text
  source += "return " + "null;";
  // ok: securetag.javascript.code-text
  const message = "The function " + name + " returns " + body;
  // ok: securetag.javascript.code-text
  return [source, message, `Please return ${name}`];
}
