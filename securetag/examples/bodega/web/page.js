// Runs in the customer's browser.
function showSearch() {
  const words = new URLSearchParams(location.search).get("q");
  document.getElementById("title").innerHTML = "Results for " + words;
}

function showSearchAsText() {
  const words = new URLSearchParams(location.search).get("q");
  document.getElementById("title").textContent = "Results for " + words;
}

window.addEventListener("load", showSearch);
window.addEventListener("hashchange", showSearchAsText);
