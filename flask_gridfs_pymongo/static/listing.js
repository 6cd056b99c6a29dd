// The listing: it shows what was uploaded, selects several, renames in place, takes drags, and has keys.

import { go } from "./?asset=browse.js";
import { counted, enhance, language } from "./?asset=page.js";

const listings = () => [...document.querySelectorAll(".fgp .listing")];
const panelOf = (part) => part.closest(".fgp");

document.addEventListener("uploads:done", async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = [...page.querySelectorAll(".fgp .listing")];
  const playing = [...document.querySelectorAll("audio, video")].some((media) => !media.paused);
  if (fresh.length !== listings().length || playing) return; // what was uploaded stays in the queue
  for (const [index, shown] of listings().entries()) {
    const selected = new Set(boxes(shown).filter((box) => box.checked).map((box) => box.value));
    const [before, after] = [shown, fresh[index]].map((one) => panelOf(one).querySelector(".selection"));
    before?.remove();
    if (after) panelOf(shown).querySelector(".top").append(after);
    shown.replaceWith(fresh[index]);
    for (const box of boxes(fresh[index])) box.checked = selected.has(box.value);
    enhance(fresh[index]);
  }
  const [told, now] = [document, page].map((one) => [...one.querySelectorAll(".space")]);
  for (const [index, space] of told.entries()) space.textContent = now[index]?.textContent;
  document.dispatchEvent(new Event("uploads:shown"));
});
document.addEventListener("uploads:shown", prepare);

// --- Selecting: a click, Shift and a click for all between, Ctrl+A within the list, Escape for none --------------------

const boxes = (listing) => [...(listing?.querySelectorAll(".pick") ?? [])];
let last = null;

function count(listing) {
  const all = boxes(listing);
  const selected = all.filter((box) => box.checked);
  const bar = panelOf(listing).querySelector(".selection");
  const everything = listing.querySelector(".select-all");
  if (!bar || !everything) return;
  const output = bar.querySelector(".selected-count");
  output.textContent = selected.length ? output.dataset.text.replace("{number}", selected.length) : "";
  everything.checked = selected.length > 0 && selected.length === all.length;
  everything.indeterminate = selected.length > 0 && selected.length < all.length;
  const one = selected.length === 1 ? selected[0] : null;
  const [share, rename] = [bar.querySelector("[data-share]"), bar.querySelector("[data-rename]")];
  if (rename) rename.hidden = !one;
  if (!share) return;
  share.hidden = one?.name !== "id";
  if (one) share.dataset.id = one.value;
}

function select(listing, checked) {
  for (const box of boxes(listing)) box.checked = checked;
  count(listing);
}

document.addEventListener("click", ({ target, shiftKey }) => {
  if (target.closest(".fgp [data-clear]")) return select(panelOf(target).querySelector(".listing"), false);
  if (target.closest(".fgp [data-rename]")) return rename(boxes(panelOf(target).querySelector(".listing")).find((box) => box.checked));
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

// --- Renaming in place, and dragging onto a folder or a part of the path -----------------------------------------------

const rowOf = (part) => part?.closest?.(".fgp .files > li, .fgp tbody tr");
const parent = (path) => path.replace(/[^/]*\/?$/, "");
const fullName = (box) => (box.name === "folder" ? box.value : rowOf(box).querySelector(".name").title);

/** Move what *picked* boxes name into the folder *to*; a single thing to a new *name*. */
function move(picked, to, name = null) {
  const bar = panelOf(picked[0]).querySelector(".selection");
  const button = bar.querySelector("[data-rename]");
  if (!button) return;
  const fields = new URLSearchParams(picked.map((box) => [box.name, box.value]));
  fields.set("to", to);
  if (name !== null) fields.set("name", name);
  const token = bar.querySelector("[name=csrf_token]");
  if (token) fields.set(token.name, token.value);
  go(button.dataset.rename, fields);
}

function rename(box) {
  const row = rowOf(box);
  const button = box && panelOf(box).querySelector("[data-rename]");
  if (!button || row.querySelector(".renaming")) return;
  const [link, old] = [row.querySelector(".name"), fullName(box).replace(/\/$/, "").split("/").at(-1)];
  const field = Object.assign(document.createElement("input"), { type: "text", value: old, className: "renaming", ariaLabel: button.dataset.label });
  let ended = false;
  const end = (restore) => {
    if (ended) return; // removing it is a blur
    ended = true;
    field.remove();
    link.hidden = false;
    if (restore) link.focus();
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") end(true);
    if (event.key !== "Enter" || !field.value.trim()) return;
    event.preventDefault();
    if (field.value === old) return end(true);
    move([box], parent(fullName(box)), field.value);
    end(true);
  });
  field.addEventListener("blur", () => end(false));
  link.hidden = true;
  link.after(field);
  field.focus();
  const stem = box.name === "id" ? old.lastIndexOf(".") : -1;
  field.setSelectionRange(0, stem > 0 ? stem : old.length);
}

let dragged = [];
document.addEventListener("dragstart", ({ target, dataTransfer }) => {
  const box = rowOf(target)?.querySelector(".pick");
  if (!box || !panelOf(box).querySelector("[data-rename]")) return;
  dragged = box.checked ? boxes(box.closest(".listing")).filter((one) => one.checked) : [box];
  dataTransfer.setData("application/x-fgp", "");
  dataTransfer.effectAllowed = "copyMove";
});
const placeOf = ({ target, dataTransfer }) => (dataTransfer.types.includes("application/x-fgp") ? target.closest?.(".fgp [data-folder]:not(form)") : null);
document.addEventListener("dragover", (event) => {
  const place = placeOf(event);
  for (const other of document.querySelectorAll(".fgp .onto")) if (other !== place) other.classList.remove("onto");
  if (!place || dragged.some((box) => box.name === "folder" && place.dataset.folder.startsWith(box.value))) return;
  event.preventDefault();
  place.classList.add("onto");
});
document.addEventListener("drop", (event) => {
  const place = placeOf(event);
  if (!place || !dragged.length) return;
  event.preventDefault();
  move(dragged, place.dataset.folder);
});
document.addEventListener("dragend", () => {
  dragged = [];
  for (const place of document.querySelectorAll(".fgp .onto")) place.classList.remove("onto");
});

// --- Keys, as docs/pages.rst has them ----------------------------------------------------------------------------------

/** The row beside *row* in a direction: in tiles also above and below. */
function beside(row, key) {
  const rows = [...row.closest(".listing").querySelectorAll(".files > li, tbody tr")];
  const place = rows.indexOf(row);
  if (key === "ArrowLeft" || key === "ArrowRight") return row.matches("tr") ? null : rows[place + (key === "ArrowLeft" ? -1 : 1)];
  const { left, top } = row.getBoundingClientRect();
  const below = (key === "ArrowDown" ? rows.slice(place + 1) : rows.slice(0, place).reverse()).map((one) => [one, one.getBoundingClientRect()]);
  const next = below.find(([, box]) => Math.abs(box.top - top) > 1)?.[1].top;
  const near = below.filter(([, box]) => Math.abs(box.top - next) <= 1);
  return near.sort(([, one], [, other]) => Math.abs(one.left - left) - Math.abs(other.left - left))[0]?.[0];
}

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (target.closest("input:not([type=checkbox]), textarea, select, dialog") || event.altKey || event.defaultPrevented) return;
  if (key === "Escape") for (const listing of listings()) if (boxes(listing).some((box) => box.checked)) select(listing, false);
  const listing = target.closest(".fgp .listing") ?? (listings().length === 1 ? listings()[0] : null);
  if (!listing) return;
  const row = rowOf(target);
  const picked = boxes(listing).filter((box) => box.checked);
  const box = picked.length === 1 ? picked[0] : picked.length ? null : row?.querySelector(".pick");
  const undo = panelOf(listing).querySelector(".status button");
  const act = {
    a: () => (event.ctrlKey || event.metaKey) && target.closest(".listing") && boxes(listing).length && (select(listing, true), true),
    z: () => (event.ctrlKey || event.metaKey) && undo && (undo.click(), true),
    "/": () => panelOf(listing).querySelector("[type=search]")?.focus() ?? true,
    " ": () => target.matches(".name") && row && (row.querySelector(".pick")?.click(), true),
    F2: () => box && (rename(box), true),
    Delete: () => {
      if (box) box.checked = true;
      count(listing);
      const button = panelOf(listing).querySelector(".selection .danger");
      return (box || picked.length) && button && (button.click(), true);
    },
  }[key];
  if (!["a", "z"].includes(key) && (event.ctrlKey || event.metaKey)) return;
  if (act ? act() : key.startsWith("Arrow") && row && beside(row, key)) {
    event.preventDefault();
    if (!act) (beside(row, key).querySelector("a.name") ?? beside(row, key).querySelector(".pick")).focus();
  }
});

// --- What a folder holds is counted once it is seen --------------------------------------------------------------------

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    counting = counting.then(() => tellCount(target)).catch(() => {});
  }
});
let counting = Promise.resolve(); // one after the other

async function tellCount(place) {
  const { folder } = place.closest("[data-folder]").dataset;
  const { index, texts } = place.closest(".listing").dataset;
  const url = new URL(index, location.href);
  url.search = new URLSearchParams({ count: "", folder });
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { files, more } = await answer.json();
  place.textContent = counted(JSON.parse(texts), files).replace(files.toLocaleString(language), (text) => (more ? `${text}+` : text));
}

function prepare() {
  // A file's page continues with the next one in this order.
  const links = listings().flatMap((listing) => [...listing.querySelectorAll("a.thumb, tbody a")]);
  const pages = links.filter((link) => /[?&]details/.test(link.search)).map((link) => link.pathname + link.search);
  sessionStorage.setItem("uploads:order", JSON.stringify([...new Set(pages)]));
  for (const place of document.querySelectorAll(".fgp .holds:empty")) seen.observe(place);
  listings().forEach(count);
}

prepare();
addEventListener("pageshow", () => listings().forEach(count)); // after Back the browser checks the boxes again
