// Keys: an element with data-key is clicked (a link, a button), opened (a summary) or focused (a field).
// In a list, j and k move between the rows. Without this script everything is reached by links and forms.
(function () {
  "use strict";

  function isTyping(target) {
    return target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
  }

  function moveBetweenRows(by) {
    const rows = Array.from(document.querySelectorAll("a.row"));
    if (rows.length === 0) return false;
    const index = rows.indexOf(document.activeElement);
    const next = index < 0 ? (by > 0 ? 0 : rows.length - 1) : index + by;
    if (next >= rows.length) {
      const page = document.querySelector("a[rel=next]");
      if (page) page.click();
    } else if (next >= 0) {
      rows[next].focus();
    }
    return true;
  }

  // In a list, x selects the row that has the focus.
  function pickRow() {
    const row = document.activeElement.closest("li.item");
    const box = row && row.querySelector("input[name=pick]");
    if (box) box.click();
    return box !== null;
  }

  function act(key) {
    if (key === "x") return pickRow();
    const element = document.querySelector('[data-key="' + CSS.escape(key) + '"]');
    if (element === null) return (key === "j" || key === "k") && moveBetweenRows(key === "j" ? 1 : -1);
    if (element.matches("input[type=checkbox]")) {
      element.click();
    } else if (element.matches("input")) {
      element.focus();
      element.select();
    } else if (element.matches("summary")) {
      const details = element.parentElement;
      details.open = true;
      details.querySelector("textarea").focus();
    } else {
      element.click();
    }
    return true;
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const dialog = document.getElementById("keys");
    if (event.key === "Escape" && isTyping(event.target)) {
      event.target.blur();
      return;
    }
    if (isTyping(event.target) || (dialog && dialog.open)) return;
    if (event.key === "?" && dialog) {
      event.preventDefault();
      dialog.showModal();
    } else if (event.key.length === 1 && act(event.key)) {
      event.preventDefault();
    }
  });

  function prepare() {
    const flagged = document.querySelector(".code.whole .flagged");
    if (flagged) flagged.scrollIntoView({ block: "center" });
    document.querySelectorAll(".needs-script").forEach(function (element) {
      element.hidden = false;
    });
    // On a phone the filters would push the list off the screen.
    if (window.matchMedia("(max-width: 800px)").matches) {
      document.querySelectorAll("details.facets").forEach(function (element) {
        element.open = false;
      });
    }
  }

  // Refused forms come back as pages with a status of 4xx: they are to be read too.
  document.addEventListener("htmx:beforeSwap", function (event) {
    if (event.detail.xhr.status >= 400) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });
  document.addEventListener("htmx:load", prepare);
  document.addEventListener("DOMContentLoaded", prepare);
})();
