// Enhancements only: every page works without this file.
const find = (selector, root = document) => root.querySelectorAll(selector);

// Copy buttons appear where the browser can copy.
if (navigator.clipboard) {
  for (const button of find("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      const word = button.querySelector("span") ?? button;
      const before = word.textContent;
      word.textContent = button.dataset.done;
      button.setAttribute("aria-live", "polite");
      setTimeout(() => { word.textContent = before; }, 4000);
    });
  }
}

for (const button of find("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// A refused form: its summary is read first.
document.querySelector("[data-focus]")?.focus();

// A form is sent once. The page may come back from the browser's cache, so the guard is lifted when it is shown again.
const sent = new WeakSet();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (sent.has(form)) { event.preventDefault(); return; }
  sent.add(form);
  event.submitter?.setAttribute("aria-disabled", "true");
});
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.forms) sent.delete(form);
  for (const button of find("[aria-disabled]")) button.removeAttribute("aria-disabled");
});

// Leaving with something typed and not saved: the browser asks.
const touched = new Set();
for (const form of find("form[data-warn]")) {
  form.addEventListener("input", () => touched.add(form));
  form.addEventListener("submit", () => touched.delete(form));
}
window.addEventListener("beforeunload", (event) => { if (touched.size) event.preventDefault(); });

// A session may end while somebody is typing: what the form held when it was sent stays in this tab until the person has
// logged in and sees the form again. No secrets, no files, nothing that the page itself put in.
const KEPT = "sent";
const entering = location.pathname.startsWith("/login");
const plainFields = (form) => [...form.elements].filter((field) => field.name && !["hidden", "password", "file", "submit"].includes(field.type));
for (const form of find("form[data-kept]")) {
  form.addEventListener("submit", () => {
    const fields = plainFields(form).map((field) => [field.name, field.value, field.checked ?? false]);
    try { sessionStorage.setItem(KEPT, JSON.stringify({ action: form.getAttribute("action"), fields })); } catch { /* not kept */ }
  });
}
try {
  const sent = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (sent && entering) {
    sessionStorage.setItem(KEPT, JSON.stringify({ ...sent, ended: true }));
  } else if (sent) {
    const form = [...find("form[data-kept]")].find((one) => one.getAttribute("action") === sent.action);
    if (form || !sent.ended) sessionStorage.removeItem(KEPT);
    if (form && sent.ended) {
      for (const [name, value, checked] of sent.fields) {
        for (const field of plainFields(form).filter((one) => one.name === name)) {
          if (["checkbox", "radio"].includes(field.type)) { if (field.value === value) field.checked = checked; } else field.value = value;
        }
      }
      const said = document.createElement("p");
      said.className = "notice";
      said.setAttribute("role", "status");
      said.textContent = form.dataset.kept;
      form.prepend(said);
      touched.add(form);
    }
  }
} catch { /* a browser that keeps nothing */ }
