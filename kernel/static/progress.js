// A page about work that goes on: it looks again by itself, and starts anew when the work is done.
const part = document.querySelector("[data-progress]");
const state = part?.dataset.progress;

async function look() {
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.querySelector("[data-progress]");
    if (!answer.ok || next?.dataset.progress !== state) return location.reload();
    if (part.innerHTML !== next.innerHTML) part.replaceChildren(...next.childNodes);
  } catch {
    // The network is gone for a moment; the next look may find it.
  }
  setTimeout(look, 2000);
}

if (part) setTimeout(look, 1000);
