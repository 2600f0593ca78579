// ruleid: securetag.javascript.message-any-origin
window.addEventListener("message", (event) => {
  show(event.data.text);
});

// ruleid: securetag.javascript.message-any-origin
window.onmessage = function (e) {
  store(e.data);
};

// The form of the data says nothing about the sender: reported all the same.
// ruleid: securetag.javascript.message-any-origin
window.addEventListener("message", (event) => {
  if (event.data.type !== "text") return;
  show(event.data.text);
});

// ok: securetag.javascript.message-any-origin
window.addEventListener("message", (event) => {
  if (event.origin !== "https://pay.example") return;
  show(event.data.text);
});

// ok: securetag.javascript.message-any-origin
window.addEventListener("message", (event) => {
  if (event.source === frame.contentWindow) show(event.data);
});

// Nothing of the message is used.
// ok: securetag.javascript.message-any-origin
window.addEventListener("message", () => reload());

// A worker's messages come from its page.
// ok: securetag.javascript.message-any-origin
worker.addEventListener("message", (event) => show(event.data));
