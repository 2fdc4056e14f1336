// Enhancements of the office: search by one key, rows by keyboard, choosing many.
const shortcuts = document.documentElement.dataset.shortcuts !== "off";
const typing = (target) => target.closest("input, select, textarea, [contenteditable]");
const search = document.querySelector("[data-search]");
const rows = [...document.querySelectorAll(".listing tbody tr")];
let here = -1;

function go(step) {
  rows[here]?.removeAttribute("data-here");
  here = Math.max(0, Math.min(rows.length - 1, here + step));
  const row = rows[here];
  row.setAttribute("data-here", "");
  row.scrollIntoView({ block: "nearest" });
  (row.querySelector("a") ?? row.querySelector("input"))?.focus();
}

const keys = {
  "/": () => { search.focus(); search.select(); },
  j: () => go(1),
  k: () => go(-1),
  x: () => rows[here]?.querySelector(".pick input")?.click(),
};

if (shortcuts) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const act = keys[event.key];
    if (!act || (event.key === "/" ? !search : !rows.length)) return;
    event.preventDefault();
    act();
  });
} else {
  document.querySelector("[data-search-key]")?.remove();
}

// On a narrow screen the menu starts folded.
const menu = document.querySelector("details.menu");
if (menu && matchMedia("(max-width: 60rem)").matches) menu.open = false;

for (const form of document.querySelectorAll("[data-bulk]")) {
  const all = form.querySelector("[data-all]");
  const boxes = [...form.querySelectorAll('[name="ids"]')];
  const counter = form.querySelector("[data-count]");
  const count = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    counter.textContent = `${counter.dataset.count} ${chosen}`;
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  };
  all.hidden = boxes.length === 0;
  all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; count(); });
  form.addEventListener("change", count);
  count();
}
