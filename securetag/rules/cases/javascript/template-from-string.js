function mail(text, values) {
  // ruleid: securetag.javascript.template-from-string
  const first = Handlebars.compile(text)(values);
  // ruleid: securetag.javascript.template-from-string
  const second = ejs.render("<p>" + text, values);
  // ruleid: securetag.javascript.template-from-string
  const third = _.template(text.replace(/<%/g, ""))(values);
  // ok: securetag.javascript.template-from-string
  const fourth = Handlebars.compile("<p>{{text}}</p>")({ text });
  // ok: securetag.javascript.template-from-string
  const fifth = Handlebars.compile(fs.readFileSync("mail.hbs", "utf8"))(values);
  return [first, second, third, fourth, fifth];
}
