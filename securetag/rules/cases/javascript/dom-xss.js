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

angular.module("shop").controller("Page", function ($scope, $routeParams, $sce) {
  // ruleid: securetag.javascript.dom-xss
  $scope.text = $sce.trustAsHtml($routeParams.text);
  // ok: securetag.javascript.dom-xss
  $scope.fixed = $sce.trustAsHtml("<b>Hello</b>");
});

function handlers(element) {
  // ruleid: securetag.javascript.dom-xss
  element.setAttribute("onclick", "show(" + location.hash + ")");
  // ok: securetag.javascript.dom-xss
  element.setAttribute("title", location.hash);
  // ok: securetag.javascript.dom-xss
  element.innerHTML = DOMPurify.sanitize(location.hash);
  // ok: securetag.javascript.dom-xss
  element.innerHTML = "<a href='" + window.location.origin + "'>shop</a>";
  // Cleaned by a function that isn't known: reported all the same.
  // ruleid: securetag.javascript.dom-xss
  element.innerHTML = clean(location.hash);
}
