// The listing: it shows what was uploaded without being loaded again, and lets one select several files.

import { enhance } from "./?asset=page.js";

const listings = () => [...document.querySelectorAll(".fgp .listing")];

document.addEventListener("uploads:done", async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = [...page.querySelectorAll(".fgp .listing")];
  const playing = [...document.querySelectorAll("audio, video")].some((media) => !media.paused);
  if (fresh.length !== listings().length || playing) return; // what was uploaded stays in the queue
  for (const [index, shown] of listings().entries()) {
    const selected = new Set(boxes(shown).filter((box) => box.checked).map((box) => box.value));
    shown.replaceWith(fresh[index]);
    for (const box of boxes(fresh[index])) box.checked = selected.has(box.value);
    enhance(fresh[index]);
  }
  prepare();
  document.dispatchEvent(new Event("uploads:shown"));
});

// --- Selecting: a click, Shift and a click for all between, Ctrl+A within the list, Escape for none --------------------

const boxes = (listing) => [...(listing?.querySelectorAll("[name=id]") ?? [])];
let last = null;

function count(listing) {
  const all = boxes(listing);
  const selected = all.filter((box) => box.checked).length;
  const output = listing.querySelector(".selected-count");
  const everything = listing.querySelector(".select-all");
  if (!output) return;
  output.textContent = selected ? output.dataset.text.replace("{number}", selected) : "";
  everything.checked = selected > 0 && selected === all.length;
  everything.indeterminate = selected > 0 && selected < all.length;
}

function select(listing, checked) {
  for (const box of boxes(listing)) box.checked = checked;
  count(listing);
}

document.addEventListener("click", ({ target, shiftKey }) => {
  const listing = target.closest(".fgp .listing");
  const all = boxes(listing);
  if (target.matches(".fgp .select-all")) return select(listing, target.checked);
  if (!all.includes(target)) return;
  if (shiftKey && all.includes(last)) {
    const [from, to] = [all.indexOf(last), all.indexOf(target)].sort((a, b) => a - b);
    for (const box of all.slice(from, to + 1)) box.checked = target.checked;
  }
  last = target;
  count(listing);
});

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (target.closest("input:not([type=checkbox]), textarea, select")) return;
  if (key === "Escape") for (const listing of listings()) if (boxes(listing).some((box) => box.checked)) select(listing, false);
  const listing = target.closest(".fgp .listing");
  if (key === "a" && (event.ctrlKey || event.metaKey) && boxes(listing).length) {
    event.preventDefault();
    select(listing, true);
  }
});

// The name of a folder ends with a slash, which nobody needs to write.
document.querySelector(".fgp .new-folder [name=folder]")?.addEventListener("change", ({ target }) => {
  target.value = target.value.replace(/\/*$/, "/");
});

function prepare() {
  // A file's page continues with the next one in this order.
  const links = listings().flatMap((listing) => [...listing.querySelectorAll("a.thumb, tbody a")]);
  const pages = links.filter((link) => /[?&]details/.test(link.search)).map((link) => link.pathname + link.search);
  sessionStorage.setItem("uploads:order", JSON.stringify([...new Set(pages)]));
  listings().forEach(count);
}

prepare();
addEventListener("pageshow", () => listings().forEach(count)); // after Back the browser checks the boxes again
