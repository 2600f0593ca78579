async function load(address, id) {
  // ruleid: securetag.javascript.url-not-constant
  const one = await fetch(address);
  // ruleid: securetag.javascript.url-not-constant
  const two = await axios.get("https://" + address + "/status");
  // ruleid: securetag.javascript.url-not-constant
  const checked = await got(allowed(address));
  // ok: securetag.javascript.url-not-constant
  const three = await fetch("https://shop.example/status");
  // ok: securetag.javascript.url-not-constant
  return [one, two, checked, three, cache.get(address), id];
}
function byOptions(address) {
  // ruleid: securetag.javascript.url-not-constant
  axios({ method: "get", url: address });
  // Of another site only if the guard errs: reported all the same.
  // ruleid: securetag.javascript.url-not-constant
  request({ uri: isAllowed(address) && address });
  // ok: securetag.javascript.url-not-constant
  axios({ method: "get", url: "https://example.org/shop" });
  // ok: securetag.javascript.url-not-constant
  return render({ url: address });
}
async function ofHost(name, port) {
  // ruleid: securetag.javascript.url-not-constant
  await fetch(`https://${name}/status`);
  // The host is written down, or it is this machine.
  // ok: securetag.javascript.url-not-constant
  await fetch(`https://shop.example/${name}`);
  // ok: securetag.javascript.url-not-constant
  http.get("http://localhost:" + port, print);
  // ok: securetag.javascript.url-not-constant
  await axios.get(`http://127.0.0.1:${port}/status`);
  // A name that goes on.
  // ruleid: securetag.javascript.url-not-constant
  await fetch(`https://shop.example${name}`);
}
async function below(path) {
  // ruleid: securetag.javascript.url-not-constant
  await fetch("/" + path);
  // ok: securetag.javascript.url-not-constant
  return await fetch("/api/shelf/" + path);
}
