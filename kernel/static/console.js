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

// Hits under the search box while somebody is typing: arrows choose, Enter opens the first or the chosen one.
const hits = document.querySelector("#search-hits");
if (search && hits) {
  let shownFor = "", waiting = 0, asking = null, chosen = -1;
  const options = () => [...hits.querySelectorAll("[role=option]:not([aria-disabled])")];
  const fold = () => {
    hits.hidden = true;
    shownFor = "";
    choose(-1);
    search.setAttribute("aria-expanded", "false");
  };
  const choose = (place) => {
    options().forEach((option, number) => option.setAttribute("aria-selected", String(number === place)));
    chosen = place;
    const option = options()[place];
    if (option) { search.setAttribute("aria-activedescendant", option.id); option.scrollIntoView({ block: "nearest" }); }
    else search.removeAttribute("aria-activedescendant");
  };
  const ask = async () => {
    const text = search.value.trim();
    asking?.abort();
    if (text.length < 2) { fold(); return; }
    asking = new AbortController();
    try {
      const answer = await fetch(`${search.dataset.search}?q=${encodeURIComponent(text)}`, { signal: asking.signal });
      if (!answer.ok || answer.redirected || document.activeElement !== search) { fold(); return; }
      hits.innerHTML = await answer.text();
      hits.hidden = false;
      shownFor = text;
      choose(-1);
      search.setAttribute("aria-expanded", "true");
    } catch (error) { if (error.name !== "AbortError") fold(); }
  };
  search.setAttribute("role", "combobox");
  search.setAttribute("aria-autocomplete", "list");
  search.setAttribute("aria-controls", hits.id);
  search.setAttribute("aria-expanded", "false");
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(ask, 120); });
  search.addEventListener("keydown", (event) => {
    const many = options().length;
    if (event.key === "Escape" && !hits.hidden) { event.preventDefault(); fold(); }
    else if (hits.hidden || !many) return;
    else if (event.key === "ArrowDown") { event.preventDefault(); choose((chosen + 1) % many); }
    else if (event.key === "ArrowUp") { event.preventDefault(); choose((chosen + many - 1) % many); }
    else if (event.key === "Enter" && shownFor === search.value.trim()) {
      event.preventDefault();
      location.assign(options()[Math.max(chosen, 0)].querySelector("a").href);
    }
  });
  search.form.addEventListener("focusout", (event) => { if (!search.form.contains(event.relatedTarget)) fold(); });
}

// Counts of waiting work beside the places of the rail; asked for once in half a minute at most.
const places = [...document.querySelectorAll(".rail .places a")];
async function waiting() {
  const kept = JSON.parse(sessionStorage.getItem("queue") ?? "null");
  if (kept && Date.now() - kept.at < 30000) return kept.counts;
  const answer = await fetch("/admin/queue");
  if (!answer.ok || answer.redirected) return {};
  const counts = await answer.json();
  sessionStorage.setItem("queue", JSON.stringify({ at: Date.now(), counts }));
  return counts;
}
if (places.length) {
  waiting().then((counts) => {
    for (const place of places) {
      const count = counts[new URL(place.href).pathname];
      if (!count) continue;
      const mark = document.createElement("span");
      mark.className = "count";
      mark.textContent = count > 9999 ? "9999+" : count;
      place.append(mark);
    }
  }).catch(() => {});
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
