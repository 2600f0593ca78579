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
function statements(key, name) {
  // ruleid: securetag.javascript.code-text
  const test = "if (" + name + ") {";
  // ruleid: securetag.javascript.code-text
  const wrapper = "(function (" + name + ") {";
  // ruleid: securetag.javascript.code-text
  const access = 'row["' + key + '"]';
  // ruleid: securetag.javascript.code-text
  const assigned = `row[${key}] = parse(${key});`;
  // ruleid: securetag.javascript.code-text
  const declared = `const ${name} = packet.read();`;
  // Written as JSON: reported all the same.
  // ruleid: securetag.javascript.code-text
  const loop = `while (${JSON.stringify(key)} in row) {`;
  // ok: securetag.javascript.code-text
  const style = `color: ${name};`;
  // ok: securetag.javascript.code-text
  const sentence = "The key if (" + name + ")";
  // ok: securetag.javascript.code-text
  return [test, wrapper, access, assigned, declared, loop, style, sentence, `${name} = ${key}`];
}
