function archive(url, folder, name) {
  // ruleid: securetag.javascript.command-text
  const clone = "git clone " + url;
  // ruleid: securetag.javascript.command-text
  const film = `ffmpeg -i ${folder} out.mp4`;
  // ruleid: securetag.javascript.command-text
  const process = `ps aux | grep ${name}`;
  let cmd = "tool";
  // ruleid: securetag.javascript.command-text
  cmd += ` --name ${name}`;
  // Quoted: reported all the same.
  // ruleid: securetag.javascript.command-text
  const quoted = "rm -rf " + quote(folder);
  // ok: securetag.javascript.command-text
  cmd += " --level " + LEVEL;
  // ok: securetag.javascript.command-text
  const label = "Git clone of " + url;
  // ok: securetag.javascript.command-text
  const sentence = "start the program " + name;
  // ok: securetag.javascript.command-text
  if (!url) throw new Error("git clone failed for " + name);
  // ok: securetag.javascript.command-text
  console.log("git clone " + url);
  // ok: securetag.javascript.command-text
  const fixed = "git clone " + "https://example.org/shop.git";
  return [clone, film, process, cmd, quoted, label, sentence, fixed];
}
function list(all, folder) {
  const flag = all ? "-a" : "-l";
  // ok: securetag.javascript.command-text
  const here = `find -type f ${flag}`;
  // ruleid: securetag.javascript.command-text
  return [here, `find -type f ${flag} ${folder}`];
}
