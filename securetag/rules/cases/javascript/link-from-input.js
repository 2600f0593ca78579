function Back() {
  const back = useSearchParams().get("back");
  // ruleid: securetag.javascript.link-from-input
  const link = <a className="back" href={back}>Back</a>;
  // ok: securetag.javascript.link-from-input
  const shelf = <a href={`/shelf/${back}`}>Shelf</a>;
  // ok: securetag.javascript.link-from-input
  const shop = <a href={"https://shop.example/?q=" + back}>Shop</a>;
  // ok: securetag.javascript.link-from-input
  const image = <img src={back} alt={back} />;
  return [link, shelf, shop, image];
}

function fill(element, link) {
  const address = new URLSearchParams(location.search).get("address");
  // ruleid: securetag.javascript.link-from-input
  element.setAttribute("href", address);
  // ruleid: securetag.javascript.link-from-input
  link.href = address;
  const frame = document.createElement("iframe");
  // ruleid: securetag.javascript.link-from-input
  frame.src = address;
  const part = document.createElement("script");
  // ruleid: securetag.javascript.link-from-input
  part.src = address;
  // An image runs nothing, and neither does a title.
  // ok: securetag.javascript.link-from-input
  image.src = address;
  // ok: securetag.javascript.link-from-input
  element.setAttribute("title", address);
  // Another rule's: the browser leaves.
  // ok: securetag.javascript.link-from-input
  location.href = address;
  // ok: securetag.javascript.link-from-input
  element.setAttribute("href", "/search?q=" + address);
}

function guarded(element) {
  const address = location.hash.slice(1);
  // The beginning is compared: reported all the same.
  if (address.startsWith("https:")) {
    // ruleid: securetag.javascript.link-from-input
    element.setAttribute("href", address);
  }
}
