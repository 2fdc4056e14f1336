// Splitting a line: the sum of the rows as they are typed, and further rows, without asking the server.
const NBSP = "\u00a0";

function grosze(text) {
  const found = /^\s*([0-9]{1,3}(?:[ \u00a0\u202f][0-9]{3})+|[0-9]{1,13})(?:[.,]([0-9]{1,2}))?\s*(?:zł|PLN)?\s*$/.exec(text);
  if (!found) return 0;
  return Number(found[1].replace(/\D/g, "")) * 100 + Number((found[2] ?? "0").padEnd(2, "0"));
}

function shown(amount) {
  const whole = String(Math.floor(amount / 100)).replace(/\B(?=(\d{3})+$)/g, NBSP);
  return `${whole},${String(amount % 100).padStart(2, "0")}${NBSP}zł`;
}

for (const form of document.querySelectorAll("[data-split]")) {
  const body = form.querySelector("[data-rows]");
  const sum = form.querySelector("[data-sum]");
  const rest = form.querySelector("[data-rest]");
  const row = form.querySelector("[data-rest-row]");
  const left = Number(form.dataset.left);

  const count = () => {
    const total = [...body.querySelectorAll('[name^="amount_"]')].reduce((so, input) => so + grosze(input.value), 0);
    sum.textContent = shown(total);
    rest.textContent = shown(Math.abs(left - total));
    row.classList.toggle("due-text", total > left);
    row.firstElementChild.textContent = total > left ? rest.dataset.over : rest.dataset.under;
  };

  const more = () => {
    const place = body.rows.length + 1;
    const added = body.rows[0].cloneNode(true);
    for (const error of added.querySelectorAll(".error")) error.remove();
    for (const input of added.querySelectorAll("input")) {
      input.name = input.name.replace(/\d+$/, place);
      input.id = `f-${input.name}`;
      input.value = "";
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+$/, place));
      for (const name of ["aria-describedby", "aria-invalid"]) input.removeAttribute(name);
      input.parentElement.classList.remove("wrong");
    }
    body.append(added);
  };

  form.querySelector("[data-count-rows]").hidden = true;
  form.querySelector("[data-more]").addEventListener("click", (event) => {
    event.preventDefault();
    const first = body.rows.length;
    for (let added = 0; added < 5 && body.rows.length < 200; added += 1) more();
    body.rows[first]?.querySelector("input").focus();
  });
  form.addEventListener("input", count);
  count();
}
