// What every page has: times in words, previews, links to copy, and what was done, told. The pages work without it.

export const language = known(document.documentElement.lang);
const base = (tag) => tag?.split("-")[0];
const dates = navigator.languages.find((tag) => base(tag) === base(language)) ?? language; // 30 November, in British English
const ours = document.querySelector(".fgp .status") ?? makeStatus();
let fading;

/** The language of the page where browsers know its tag, else their own. */
function known(tag) {
  try {
    return Intl.getCanonicalLocales(tag)[0];
  } catch {}
}

function makeStatus(place = document.querySelector(".fgp")) {
  const made = element("p", { className: "status", role: "status" });
  place?.append(made);
  return made;
}

/** Announce a text, or what a status of the server has, and show it until the next one; *quietly*: what the page shows by itself; *failed*: in the colour for that. */
export function tell(what, quietly = false, failed = false) {
  const open = document.querySelector(".fgp dialog.over[open]"); // what is below is not seen
  const status = open ? (open.querySelector(".status") ?? makeStatus(open)) : ours;
  status.replaceChildren(...(what.childNodes ?? [what]));
  status.classList.toggle("failed", failed);
  status.classList.toggle("unseen", quietly);
  status.classList.add("new"); // seen wherever the page is scrolled, for a while
  clearTimeout(fading);
  fading = setTimeout(() => status.classList.remove("new"), 10_000);
}

// What an action before this page did stands in the page: only a change is read out.
if (ours.textContent) setTimeout(() => tell(ours), 100);

/** Make an element; *children* are elements or texts. */
export function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const UNITS = [["second", 1], ["minute", 60], ["hour", 3600], ["day", 86400], ["month", 2592000], ["year", 31536000]];

function inWords(seconds) {
  const fits = ([, length], index) => Math.round(Math.abs(seconds) / length) * length < (UNITS[index + 1]?.[1] ?? Infinity);
  const [unit, length] = UNITS.find(fits);
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

export function size(bytes) {
  const power = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  if (!power) return new Intl.NumberFormat(language, { style: "unit", unit: "byte", unitDisplay: "long" }).format(bytes);
  const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return `${(bytes / 1024 ** power).toLocaleString(language, digits)} ${["KiB", "MiB", "GiB", "TiB"][power - 1]}`;
}

const visible = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    visible.unobserve(target);
    excerpt(target.dataset.excerpt).then((text) => (target.textContent = text), () => {});
  }
});

const EXCERPT = 600; // bytes

async function excerpt(url) {
  const answer = await fetch(url, { headers: { Range: `bytes=0-${EXCERPT - 1}` } });
  if (!answer.ok) return "";
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return decode(bytes) + (bytes.length < EXCERPT ? "" : "…");
}

/** UTF-8 where it is that, up to a character that is cut; else what Windows and Latin-1 call text. */
function decode(bytes) {
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

const PAUSES = [1500, 5000, 15_000]; // milliseconds, before a picture that the server had no time for is asked for again

/** The status of the last answer from *url*, which an image does not tell; 0 without one, undefined in old browsers. */
function statusOf(url) {
  return performance.getEntriesByName(url, "resource").at(-1)?.responseStatus;
}

function tellTimes(part) {
  for (const time of part.querySelectorAll(".fgp time")) {
    const [date, words] = [new Date(time.dateTime), inWords((new Date(time.dateTime) - Date.now()) / 1000)];
    time.title = date.toLocaleString(dates);
    const { exactly } = time.dataset;
    const full = () => date.toLocaleString(dates, { dateStyle: exactly || "long", timeStyle: "short" });
    time.textContent = exactly === undefined ? words : exactly ? full() : `${full()} (${words})`;
  }
}

/** What a list says of a number; *texts* are for one and for more. */
export const counted = (texts, number) => texts[number === 1 ? 0 : 1].replace("{number}", number.toLocaleString(language));

/** The name with a number before its extension, in *room* bytes of UTF-8: from a longer one the server would cut the number. */
export function numbered(name, number, room = 255) {
  const [, stem, extension = ""] = name.match(/^(.+?)(\.[^.]+)?$/s);
  const [kept, added] = [[...stem], ` (${number})${extension}`];
  while (kept.length > 1 && new TextEncoder().encode(kept.join("") + added).length > room) kept.pop();
  return kept.join("") + added;
}

/** The same file by another name. */
export const called = (file, name) => new File([file], name, { type: file.type, lastModified: file.lastModified });

export function enhance(part) {
  tellTimes(part);
  for (const image of part.querySelectorAll(".fgp .thumb img")) {
    const mark = () => {
      const small = image.naturalWidth < 160 && image.naturalHeight < 160;
      image.classList.toggle("small", small && !image.srcset); // a variant's size is that of its place
    };
    if (image.complete) mark();
    image.addEventListener("load", mark);
    const pauses = [...PAUSES];
    const failed = () => {
      const pause = [503, 0, undefined].includes(statusOf(image.currentSrc)) && pauses.shift();
      if (pause) setTimeout(() => (image.srcset = image.srcset), pause);
      else image.remove(); // the type's icon stands in for what cannot be shown
    };
    if (image.complete && !image.naturalWidth && image.srcset) failed();
    image.addEventListener("error", failed);
  }
  for (const excerpt of part.querySelectorAll(".fgp [data-excerpt]")) visible.observe(excerpt);
  for (const button of part.querySelectorAll(".fgp [data-copy]")) {
    button.hidden = !navigator.clipboard; // only HTTPS has a clipboard
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(new URL(button.dataset.copy, location.href).href);
      tell(button.dataset.copied, true);
      const label = button.textContent;
      button.textContent = button.dataset.copied;
      setTimeout(() => (button.textContent = label), 2000);
    });
  }
}

// Back from what a form led to leaves no answer of a POST in the history, which browsers show only after a question.
document.querySelector(".fgp [data-back]")?.addEventListener("click", (event) => {
  if (history.length === 1) return;
  event.preventDefault();
  history.back();
});

// A file that was open over the listing is loaded again: for browsers the listing is still this document, which Back does not load.
const place = () => location.pathname + location.search;
const loaded = place();
addEventListener("popstate", () => {
  if (place() !== loaded && document.querySelector(".fgp-panel") && !document.querySelector(".fgp .listing")) location.reload();
});

// A menu closes with Escape, and with a click anywhere but in its forms.
const menus = () => document.querySelectorAll(".fgp .menu[open]");
document.addEventListener("click", ({ target }) => {
  for (const menu of menus()) if (!menu.contains(target) || target.closest("a, button")) menu.open = false;
});
document.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape") return;
  for (const menu of menus()) {
    if (menu.contains(document.activeElement)) menu.firstElementChild.focus();
    menu.open = false;
  }
});

document.addEventListener("click", async ({ target }) => {
  const button = target.closest(".fgp [data-share]");
  if (!button) return;
  const token = document.querySelector("[name=csrf_token]")?.value;
  const headers = { Accept: "application/json", ...(token && { "X-CSRFToken": token }) };
  const url = button.dataset.share + (button.dataset.id ? `&id=${encodeURIComponent(button.dataset.id)}` : "");
  const answer = await fetch(url, { method: "POST", headers }).catch(() => null);
  const shared = await answer?.json().catch(() => null); // of a proxy or a login
  if (!shared?.url) return tell(shared?.detail ?? button.dataset.failed, false, true);
  const time = new Date(shared.expires).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  const link = new URL(shared.url, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    tell(button.dataset.copied.replace("{time}", time));
  } catch {
    tell(`${button.dataset.shown.replace("{time}", time)} ${link}`); // only HTTPS has a clipboard
  }
});

enhance(document);
setInterval(() => tellTimes(document), 60_000);
