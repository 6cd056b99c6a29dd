// A file's page: the files beside it in the listing that one came from, a picture in full, a link to share.

import { element, language, tell } from "./?asset=page.js";

const FULL = "#full";

// --- Next and previous: listing.js remembers the order ----------------------------------------------------------------

const remembered = JSON.parse(sessionStorage.getItem("uploads:order") ?? "[]");
const nav = document.querySelector(".fgp .neighbours");
const place = remembered.indexOf(location.pathname + location.search);
const [previous, next] = place < 0 ? [] : [remembered[place - 1], remembered[place + 1]];

function link(url, rel, text) {
  if (url) nav.append(element("a", { href: url, rel, className: "button", textContent: text }));
}

if (nav) {
  link(previous, "prev", nav.dataset.previous);
  link(next, "next", nav.dataset.next);
  nav.hidden = !nav.children.length;
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, video, audio, pre, iframe");
  if (typing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const url = { ArrowLeft: previous, ArrowRight: next }[event.key];
  if (url) location.assign(document.querySelector("dialog[open]") ? url + FULL : url);
});

// --- A picture in full, and the next one too ---------------------------------------------------------------------------

const picture = document.querySelector(".fgp .preview > img");
if (picture) {
  const { close, enlarge, previous: back, next: on } = nav.dataset;
  const button = element("button", { type: "button", className: "enlarge", ariaLabel: enlarge });
  const full = picture.cloneNode();
  full.removeAttribute("src"); // the original, once somebody looks at it
  full.alt = "";
  const turn = (url, className, label, text) => (url ? [element("a", { href: url + FULL, className, ariaLabel: label, textContent: text })] : []);
  const dialog = element(
    "dialog",
    { className: "enlarged", ariaLabel: picture.alt },
    full,
    element("button", { type: "button", className: "close", ariaLabel: close, textContent: "✕", onclick: () => dialog.close() }),
    ...turn(previous, "previous", back, "‹"),
    ...turn(next, "next", on, "›"),
  );
  picture.replaceWith(button);
  button.append(picture);
  button.after(dialog);
  const open = () => {
    Object.assign(full, { src: picture.dataset.original || picture.src, alt: picture.alt });
    dialog.showModal();
    history.replaceState(null, "", FULL);
  };
  button.addEventListener("click", open);
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    button.focus();
  });
  dialog.addEventListener("click", ({ target }) => [dialog, full].includes(target) && dialog.close());
  let began;
  dialog.addEventListener("touchstart", ({ touches }) => (began = touches.length === 1 ? touches[0] : null), { passive: true });
  dialog.addEventListener("touchend", ({ changedTouches: [end] }) => {
    const [across, down] = began ? [end.clientX - began.clientX, end.clientY - began.clientY] : [0, 0];
    const url = Math.abs(across) > Math.max(50, 2 * Math.abs(down)) && (across > 0 ? previous : next);
    if (url) location.assign(url + FULL);
  });
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

for (const another of document.querySelectorAll(".fgp [data-another]")) {
  another.addEventListener("click", () => {
    const fields = another.parentElement.querySelectorAll("textarea");
    const fresh = fields[0].cloneNode();
    fresh.value = "";
    another.before(fresh);
    for (const field of [...fields, fresh]) field.name = `${field.name.replace("[]", "")}[]`;
    fresh.focus();
  });
}
const form = document.querySelector("form.metadata");
const texts = () => JSON.stringify([...(form?.querySelectorAll("textarea") ?? [])].map((field) => field.value).filter(Boolean));
const saved = texts();
let saving = false;
form?.addEventListener("submit", () => (saving = true));
addEventListener("beforeunload", (event) => !saving && texts() !== saved && event.preventDefault());

// --- A link to share ---------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-share]")) {
  button.addEventListener("click", async () => {
    const token = document.querySelector("[name=csrf_token]")?.value;
    const headers = { Accept: "application/json", ...(token && { "X-CSRFToken": token }) };
    const answer = await fetch(button.dataset.share, { method: "POST", headers }).catch(() => null);
    if (!answer?.ok) return tell(button.dataset.failed);
    const { url, expires } = await answer.json();
    const time = new Date(expires).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
    const link = new URL(url, location.href).href;
    try {
      await navigator.clipboard.writeText(link);
      tell(button.dataset.copied.replace("{time}", time));
    } catch {
      tell(`${button.dataset.shown.replace("{time}", time)} ${link}`); // only HTTPS has a clipboard
    }
  });
}
