function greet() {
  const name = new URLSearchParams(location.search).get("name");
  // ruleid: securetag.javascript.dom-xss
  document.getElementById("hello").innerHTML = "Hello " + name;
}

function tab() {
  // ruleid: securetag.javascript.dom-xss
  document.write(location.hash.slice(1));
}

function text() {
  // ok: securetag.javascript.dom-xss
  document.getElementById("hello").textContent = location.hash;
}

function constant() {
  // ok: securetag.javascript.dom-xss
  document.getElementById("hello").innerHTML = "<b>Hello</b>";
}
