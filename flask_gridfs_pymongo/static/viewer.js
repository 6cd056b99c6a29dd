// A file's page, or what is opened over the listing: the files beside it, a picture in full, what is known about it.

import { close, go } from "./?asset=browse.js";
import { element } from "./?asset=page.js";

const FULL = "#full";
let [previous, next] = [];
let dirty = () => false;
let [saving, question] = [false];

/** Show the file at *url*, in full if the one before was. */
function turn(url) {
  if (url) go(document.querySelector(".enlarged[open]") ? url + FULL : url);
}

// --- Next and previous: listing.js remembers the order ----------------------------------------------------------------

function beside(nav, isOver) {
  const remembered = JSON.parse(sessionStorage.getItem("uploads:order") ?? "[]");
  const place = remembered.indexOf(location.pathname + location.search);
  [previous, next] = place < 0 ? [] : [remembered[place - 1], remembered[place + 1]];
  const link = (url, rel, textContent) => url && nav.append(element("a", { href: url, rel, className: "button", textContent }));
  link(previous, "prev", nav.dataset.previous);
  link(next, "next", nav.dataset.next);
  if (isOver) {
    nav.append(element("button", { type: "button", className: "quiet", textContent: "✕", ariaLabel: nav.dataset.close, onclick: close }));
    nav.closest(".over").prepend(nav); // where it stays while the file is scrolled
  }
  nav.hidden = !nav.children.length;
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, video, audio, pre, iframe");
  if (typing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !document.querySelector(".fgp .neighbours")) return;
  turn({ ArrowLeft: previous, ArrowRight: next }[event.key]);
});

function swipes(part) {
  let began;
  part.addEventListener("touchstart", ({ touches }) => (began = touches.length === 1 ? touches[0] : null), { passive: true });
  part.addEventListener("touchend", ({ changedTouches: [end] }) => {
    const [across, down] = began ? [end.clientX - began.clientX, end.clientY - began.clientY] : [0, 0];
    if (Math.abs(across) > Math.max(50, 2 * Math.abs(down))) turn(across > 0 ? previous : next);
  });
}

// --- A picture in full, and the next one too ---------------------------------------------------------------------------

function enlarges(picture, nav) {
  const { close: closing, enlarge, previous: back, next: on } = nav.dataset;
  const button = element("button", { type: "button", className: "enlarge", ariaLabel: enlarge });
  const full = picture.cloneNode();
  full.removeAttribute("src"); // the original, once somebody looks at it
  full.alt = "";
  const link = (url, className, ariaLabel, textContent) => (url ? [element("a", { href: url + FULL, className, ariaLabel, textContent })] : []);
  const dialog = element(
    "dialog",
    { className: "enlarged", ariaLabel: picture.alt },
    full,
    element("button", { type: "button", className: "close", ariaLabel: closing, textContent: "✕", onclick: () => dialog.close() }),
    ...link(previous, "previous", back, "‹"),
    ...link(next, "next", on, "›"),
  );
  picture.replaceWith(button);
  button.append(picture);
  button.after(dialog);
  const open = () => {
    Object.assign(full, { src: picture.dataset.original || picture.src, alt: picture.alt });
    dialog.showModal();
    history.replaceState(null, "", location.pathname + location.search + FULL); // a layout may have a base
  };
  button.addEventListener("click", open);
  dialog.addEventListener("cancel", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    button.focus();
  });
  dialog.addEventListener("click", ({ target }) => [dialog, full].includes(target) && dialog.close());
  swipes(dialog);
  const failed = () => {
    const preview = button.parentElement;
    if (!preview) return; // told already
    preview.classList.replace("picture", "broken");
    preview.replaceChildren(preview.dataset.broken);
  };
  if (picture.complete && !picture.naturalWidth) failed();
  picture.addEventListener("error", failed);
  if (location.hash === FULL) open();
}

// --- What is known about the file: another value of a key, and what is not saved yet -----------------------------------

function takesValues(form) {
  for (const another of form.querySelectorAll("[data-another]")) {
    another.addEventListener("click", () => {
      const fields = another.parentElement.querySelectorAll("textarea");
      const fresh = fields[0].cloneNode();
      fresh.value = "";
      another.before(fresh);
      for (const field of [...fields, fresh]) field.name = `${field.name.replace("[]", "")}[]`;
      fresh.focus();
    });
  }
  const texts = () => JSON.stringify([...form.querySelectorAll("textarea")].map((field) => field.value).filter(Boolean));
  const saved = texts();
  form.addEventListener("submit", () => (saving = true));
  dirty = () => form.isConnected && !saving && texts() !== saved;
  question = form.dataset.unsaved;
}
addEventListener("beforeunload", (event) => dirty() && event.preventDefault());
document.addEventListener("fgp:leaving", (event) => {
  if (dirty() && !confirm(question)) event.preventDefault();
  else if (!saving) dirty = () => false; // asked once
  saving = false; // which may fail, and then the form is still open
});

function prepare() {
  const part = document.querySelector(".fgp dialog.over[open]") ?? document;
  const nav = part.querySelector(".fgp .neighbours");
  if (!nav) return;
  beside(nav, part !== document);
  const [preview, form] = [part.querySelector(".fgp .preview"), part.querySelector(".fgp form.metadata")];
  const picture = preview?.querySelector(":scope > img");
  if (preview) swipes(preview);
  if (picture) enlarges(picture, nav);
  if (form) takesValues(form);
}

document.addEventListener("fgp:opened", prepare);
prepare();
