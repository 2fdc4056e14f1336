// The payments desk by keyboard: customers found while typing, Enter writes the row in the background and the next one
// begins at once. What is typed stays in this tab until the office has it. Without this file the form works by itself.
const box = document.querySelector("[data-till]");
const words = box?.dataset ?? {};
const editing = "editing" in words;
const NAMES = ["who", "amount", "title", "document_no"];

const form = () => box.querySelector("form.form");
const field = (name) => form().elements.namedItem(name);
const input = (name) => form().querySelector(`#f-${name}`);
const choice = () => box.querySelector("[data-choice]");
const list = () => box.querySelector("[data-found]");
const whose = () => box.querySelector("[data-whose]");

function say(text) {
  box.querySelector("[data-said]").textContent = text;
}

// --- what was typed and is not written yet -------------------------------------------------------------------------
let waiting = [];
let held;  // a refused row and its answer, while the next one is being typed: the hands are never interrupted
const queue = [];

function typed() {
  const values = {};
  for (const element of form().elements) {
    if (!element.name || element.name === "_key" || element.disabled) continue;
    if ((element.type === "checkbox" || element.type === "radio") && !element.checked) continue;
    values[element.name] = element.value;
  }
  return values;
}

function isEmpty(values = typed()) {
  return NAMES.every((name) => !values[name]);
}

function fill(values) {
  for (const [name, value] of Object.entries(values)) {
    const element = input(name);
    if (element && element.type !== "checkbox") element.value = value;
  }
  choice().value = values.choice ?? "";
  choice().disabled = !values.choice;
  whose().textContent = values.whose ?? "";
}

function clear() {
  for (const name of NAMES) input(name).value = "";
  for (const element of form().querySelectorAll('[name="sure"], [type="radio"]')) element.checked = false;
  choice().value = "";
  choice().disabled = true;
  whose().textContent = "";
  close();
}

function keep() {
  if (editing) return;
  const rows = [...(held ? [held.row.values] : []), ...queue.map((row) => row.values), ...waiting];
  const values = typed();
  if (!isEmpty(values)) rows.push({ ...values, whose: whose().textContent });
  try {
    if (rows.length) sessionStorage.setItem(words.store, JSON.stringify(rows));
    else sessionStorage.removeItem(words.store);
  } catch { /* a browser that keeps nothing */ }
}

function restore() {
  let rows = [];
  try { rows = JSON.parse(sessionStorage.getItem(words.store) ?? "[]"); } catch { /* nothing was kept */ }
  if (!rows.length) return;
  waiting = rows;
  if (!box.querySelector(".summary")) {
    fill(waiting.shift());
    say(words.saidRestored);
  }
}

// --- writing rows --------------------------------------------------------------------------------------------------
let busy = false;

function enter() {
  const values = typed();
  queue.push({ values: { ...values, whose: whose().textContent }, fields: Object.entries(values) });
  clear();
  input("who").focus();
  say("");
  keep();
  return held ? putRight() : pump();
}

async function pump() {
  if (busy) return;
  busy = true;
  while (queue.length) {
    if (!(await send(queue[0]))) break;
  }
  busy = false;
  keep();
}

async function send(row) {
  row.key ??= field("_key").value;
  let answer;
  let page;
  try {
    answer = await fetch(form().action, { method: "POST", body: new URLSearchParams([["_key", row.key], ...row.fields]) });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    takeBack(row);
    say(words.saidLost);
    return false;
  }
  const here = page.querySelector("[data-till]");
  if (new URL(answer.url).pathname !== location.pathname) {  // the session has ended: the rows wait in this tab
    keep();
    location.assign(answer.url);
    return false;
  }
  if (answer.ok && !here) {  // that was the last row that the bundle takes
    queue.shift();
    keep();
    location.reload();
    return false;
  }
  if (answer.ok) {
    queue.shift();
    written(page, here);
    return true;
  }
  if (here) {
    refused(row, here);
  } else {
    takeBack(row);
    say([...page.querySelectorAll("main h1, main .lead")].map((part) => part.textContent).join(". "));
  }
  return false;
}

// The answer has the page as it is now: figures and rows are taken from it, and the key of the next row.
function written(page, here) {
  for (const board of document.querySelectorAll("[data-board]")) {
    const fresh = page.querySelector(`[data-board="${board.dataset.board}"]`);
    if (fresh) board.replaceWith(document.importNode(fresh, true));
  }
  document.querySelector('[data-board="rows"] tbody tr')?.setAttribute("data-fresh", "");
  if (box.querySelector(".summary, .wrong, .notice")) {
    const values = { ...typed(), whose: whose().textContent };
    const at = document.activeElement?.id;
    renew(here);
    if (!isEmpty(values)) fill(values);
    document.getElementById(at ?? "")?.focus();
  } else {
    field("_key").value = here.querySelector('[name="_key"]').value;
  }
  if (waiting.length && isEmpty() && queue.length === 0) {
    fill(waiting.shift());
    input("who").focus();
  }
  say(document.querySelector('[data-board="rows"] tbody td:nth-child(2)')?.textContent.trim() ?? "");
  keep();
}

// What was typed since a row was sent comes back after that row is put right.
function putAside() {
  const values = typed();
  const here = isEmpty(values) ? [] : [{ ...values, whose: whose().textContent }];
  waiting = [...queue.splice(0).map((one) => one.values), ...here, ...waiting];
}

function refused(row, here) {
  queue.shift();
  held = { row, here };
  if (isEmpty()) putRight();
  else say(words.saidHeld);
  keep();
}

function putRight() {
  const { row, here } = held;
  held = undefined;
  putAside();
  renew(here);
  whose().textContent = row.values.whose;
  if (row.values.choice && !box.querySelector('[type="radio"]')) {
    choice().value = row.values.choice;
    choice().disabled = false;
  }
  const wrong = box.querySelector("[aria-invalid]");  // of a choice it is the group, which takes no focus itself
  (wrong?.querySelector("input") ?? wrong ?? box.querySelector(".summary"))?.focus();
  if (waiting.length) say(words.saidWaiting);
  keep();
}

function takeBack(row) {
  if (!isEmpty()) return;  // it stays the first to be sent, when the next row is entered
  queue.shift();
  putAside();
  fill(row.values);
  field("_key").value = row.key;
  input("amount").focus();
  keep();
}

function renew(here) {
  box.replaceChildren(...document.importNode(here, true).childNodes);
  dress();
}

// --- customers found while typing ----------------------------------------------------------------------------------
let found = [];
let active = -1;
let asked = 0;
let timer;

function dress() {
  const who = input("who");
  who.setAttribute("role", "combobox");
  who.setAttribute("aria-autocomplete", "list");
  who.setAttribute("aria-controls", "till-found");
  who.setAttribute("aria-expanded", "false");
  who.setAttribute("spellcheck", "false");
}

function close() {
  found = [];
  active = -1;
  list().hidden = true;
  list().replaceChildren();
  input("who").setAttribute("aria-expanded", "false");
  input("who").removeAttribute("aria-activedescendant");
}

function mark(place) {
  active = place;
  [...list().children].forEach((item, at) => item.setAttribute("aria-selected", String(at === place)));
  const item = list().children[place];
  if (item) {
    input("who").setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  } else {
    input("who").removeAttribute("aria-activedescendant");
  }
}

function part(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}

function show() {
  list().replaceChildren(...found.map((one, place) => {
    const item = document.createElement("li");
    item.id = `till-found-${place}`;
    item.setAttribute("role", "option");
    if (one.stopped) item.setAttribute("aria-disabled", "true");
    item.append(part("name", one.name), part("owes", one.owes), part("details", [one.number, one.stopped || one.details].join(" · ")));
    item.addEventListener("mousedown", (event) => { event.preventDefault(); choose(place); input("amount").focus(); });
    return item;
  }));
  list().hidden = found.length === 0;
  input("who").setAttribute("aria-expanded", String(found.length > 0));
  const usable = found.filter((one) => !one.stopped);
  const first = found.findIndex((one) => !one.stopped);
  mark(first >= 0 && (found[first].exact || usable.length === 1) ? first : -1);
  whose().textContent = "";
  say(found.length ? words.saidFound.replace("{count}", found.length) : input("who").value ? words.saidNone : "");
}

function choose(place) {
  const one = found[place];
  if (!one || one.stopped) return false;
  choice().value = one.key;
  choice().disabled = false;
  input("who").value = one.number;
  for (const radio of form().querySelectorAll('[type="radio"]')) radio.checked = radio.value === one.key;
  close();
  whose().textContent = [one.name, one.details, one.owes].filter(Boolean).join(" · ");
  say("");
  keep();
  return true;
}

async function look() {
  const text = input("who").value.trim();
  const number = (asked += 1);
  if (!text) { close(); return; }
  let answer;
  try {
    answer = await (await fetch(`${words.find}?${new URLSearchParams({ q: text })}`)).json();
  } catch { return; }
  if (number !== asked || input("who").value.trim() !== text) return;
  found = answer.found;
  if (document.activeElement === input("who")) { show(); return; }
  const exact = found.filter((one) => one.exact && !one.stopped);
  if (exact.length === 1) choose(found.indexOf(exact[0]));
  else close();
}

function keyInWho(event) {
  const open = !list().hidden;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!open) { look(); return; }
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    mark((active + step + found.length) % found.length);
  } else if (event.key === "Escape" && open) {
    event.preventDefault();
    close();
  } else if (event.key === "Tab" && open && active >= 0 && !event.shiftKey) {
    choose(active);
  } else if (event.key === "Enter" && !event.ctrlKey) {
    if (open && active >= 0) choose(active);
    if (input("who").value && !input("amount").value) {
      event.preventDefault();
      input("amount").focus();
    }
  }
}

if (box) {
  dress();
  box.addEventListener("keydown", async (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !editing) {
      event.preventDefault();
      if (!isEmpty()) await enter();
      else await pump();
      if (!queue.length && isEmpty() && document.querySelector(`a[href="${words.approve}"]`)) location.assign(words.approve);
    } else if (event.target === input("who")) {
      keyInWho(event);
    }
  });
  box.addEventListener("input", (event) => {
    if (event.target === input("who")) {
      choice().value = "";
      choice().disabled = true;
      whose().textContent = "";
      clearTimeout(timer);
      timer = setTimeout(look, 120);
    }
    keep();
  });
  box.addEventListener("focusout", (event) => {
    if (event.target === input("who")) setTimeout(() => { if (document.activeElement !== input("who")) close(); }, 0);
  });
  box.addEventListener("submit", (event) => {
    if (editing || event.target !== form()) return;
    event.preventDefault();
    event.stopPropagation();
    enter();
  });
  if (!editing) {
    restore();
    if (!box.querySelector(".summary")) input("who").focus();
  }
}
