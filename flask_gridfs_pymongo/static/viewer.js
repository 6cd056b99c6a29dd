// A file's page: the files beside it in the listing that one came from, a picture in full, a link to share.

import { language, tell } from "./?asset=page.js";

const FULL = "#full";

// --- Next and previous: listing.js remembers the order ----------------------------------------------------------------

const remembered = JSON.parse(sessionStorage.getItem("uploads:order") ?? "[]");
const nav = document.querySelector(".fgp .neighbours");
const place = remembered.indexOf(location.pathname + location.search);
const [previous, next] = place < 0 ? [] : [remembered[place - 1], remembered[place + 1]];

function link(url, rel, text) {
  if (url) nav.append(Object.assign(document.createElement("a"), { href: url, rel, className: "button", textContent: text }));
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
  const dialog = Object.assign(document.createElement("dialog"), { className: "enlarged", ariaLabel: picture.alt });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "enlarge" });
  dialog.append(Object.assign(picture.cloneNode(), { alt: "", loading: "eager" }));
  picture.replaceWith(button);
  button.append(picture);
  button.after(dialog);
  button.addEventListener("click", () => dialog.showModal());
  if (location.hash === FULL) dialog.showModal();
  dialog.addEventListener("click", () => dialog.close());
}

// --- A link to share ---------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-share]")) {
  button.hidden = false;
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
