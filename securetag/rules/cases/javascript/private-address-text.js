function isPrivate(address) {
  // ruleid: securetag.javascript.private-address-text
  if (/^(127\.|10\.|192\.168\.)/.test(address)) return true;
  // ruleid: securetag.javascript.private-address-text
  if (address.startsWith("169.254.")) return true;
  // With a check of the form before it: reported all the same.
  // ruleid: securetag.javascript.private-address-text
  return net.isIPv4(address) && address === "127.0.0.1";
}
function isBlocked(address) {
  const list = new net.BlockList();
  // ok: securetag.javascript.private-address-text
  list.addSubnet("127.0.0.0", 8);
  // ok: securetag.javascript.private-address-text
  if (/^\d+\.\d+\.\d+\.\d+$/.test(address)) return list.check(address);
  // ok: securetag.javascript.private-address-text
  return address.startsWith("::");
}
