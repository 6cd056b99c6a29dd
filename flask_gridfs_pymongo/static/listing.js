// The listing: it shows what was uploaded without being loaded again, and lets one select several files.

import { enhance } from "./?asset=page.js";

document.addEventListener("uploads:done", async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("files-list");
  const shown = document.getElementById("files-list");
  const playing = [...document.querySelectorAll("audio, video")].some((media) => !media.paused);
  if (!fresh || !shown || playing) return; // what was uploaded stays in the queue
  const selected = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
  shown.replaceWith(fresh);
  for (const box of boxes()) box.checked = selected.has(box.value);
  enhance(fresh);
  prepare();
  document.dispatchEvent(new Event("uploads:shown"));
});

// --- Selecting: a click, Shift and a click for all between, Ctrl+A within the list, Escape for none --------------------

const boxes = () => [...document.querySelectorAll("#files-list [name=id]")];
let last = null;

function count() {
  const all = boxes();
  const selected = all.filter((box) => box.checked).length;
  const output = document.getElementById("selected");
  const everything = document.getElementById("select-all");
  if (!output) return;
  output.textContent = selected ? output.dataset.text.replace("{number}", selected) : "";
  everything.checked = selected > 0 && selected === all.length;
  everything.indeterminate = selected > 0 && selected < all.length;
}

function select(checked) {
  for (const box of boxes()) box.checked = checked;
  count();
}

document.addEventListener("click", ({ target, shiftKey }) => {
  if (target.id === "select-all") return select(target.checked);
  const all = boxes();
  if (!all.includes(target)) return;
  if (shiftKey && all.includes(last)) {
    const [from, to] = [all.indexOf(last), all.indexOf(target)].sort((a, b) => a - b);
    for (const box of all.slice(from, to + 1)) box.checked = target.checked;
  }
  last = target;
  count();
});

document.addEventListener("keydown", (event) => {
  if (!boxes().length || event.target.closest("input:not([type=checkbox]), textarea, select")) return;
  if (event.key === "Escape" && boxes().some((box) => box.checked)) select(false);
  if (event.key === "a" && (event.ctrlKey || event.metaKey) && event.target.closest("#files-list")) {
    event.preventDefault();
    select(true);
  }
});

// The name of a folder ends with a slash, which nobody needs to write.
document.querySelector(".new-folder [name=folder]")?.addEventListener("change", ({ target }) => {
  target.value = target.value.replace(/\/*$/, "/");
});

function prepare() {
  for (const all of document.querySelectorAll("#files-list .all")) all.hidden = false;
  // A file's page continues with the next one in this order.
  const pages = [...document.querySelectorAll("#files-list a.thumb, #files-list tbody a")].filter((link) => /[?&]details/.test(link.search));
  sessionStorage.setItem("uploads:order", JSON.stringify([...new Set(pages.map((link) => link.pathname + link.search))]));
  count();
}

prepare();
