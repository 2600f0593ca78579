function below(name) {
  // ruleid: securetag.javascript.parent-folder-removed
  const once = name.replace("../", "");
  // ruleid: securetag.javascript.parent-folder-removed
  const each = name.replace(/\.\.\//g, "");
  // ruleid: securetag.javascript.parent-folder-removed
  const both = name.replace(/\.\.(\/|\\)/g, "");
  // Checked afterwards: reported all the same.
  // ruleid: securetag.javascript.parent-folder-removed
  const checked = inside(name.replaceAll("../", ""));
  // All steps at the beginning of a path that was normalized.
  // ok: securetag.javascript.parent-folder-removed
  const steps = path.normalize(name).replace(/^(\.\.[\/\\])+/, "");
  // ok: securetag.javascript.parent-folder-removed
  const ending = name.replace(/\.\w+$/, "");
  // ok: securetag.javascript.parent-folder-removed
  return [once, each, both, checked, steps, ending, name.replace("./", "")];
}
