function send(connection, sender, name) {
  // ruleid: securetag.javascript.line-break-text
  connection.write(sender + "\r\n");
  // ruleid: securetag.javascript.line-break-text
  connection.write(`MAIL FROM ${sender}\r\n`);
  // ruleid: securetag.javascript.line-break-text
  let part = 'Content-Disposition: form-data; name="' + name + '"';
  // Encoded: reported all the same.
  // ruleid: securetag.javascript.line-break-text
  connection.write(encode(sender) + "\r\n");
  // ok: securetag.javascript.line-break-text
  connection.write("QUIT\r\n");
  // ok: securetag.javascript.line-break-text
  connection.write("QUIT" + "\r\n");
  // ok: securetag.javascript.line-break-text
  part += `${name}: ${sender}`;
  return part;
}
