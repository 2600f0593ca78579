function download(res, name) {
  // ruleid: securetag.javascript.header-not-constant
  res.setHeader("Content-Disposition", `attachment; filename="${name}"`);
  // ruleid: securetag.javascript.header-not-constant
  res.set("Set-Cookie", "shop=" + name);
  // ruleid: securetag.javascript.header-not-constant
  res.setHeader("Content-Disposition", "attachment; filename=" + encodeURIComponent(name));
  // ok: securetag.javascript.header-not-constant
  res.setHeader("Content-Disposition", "attachment");
  // ok: securetag.javascript.header-not-constant
  res.setHeader("Content-Length", "" + name.length);
}
