// What every page has: times in words, previews, links to copy, and what was done, told. The pages work without it.

export const language = document.documentElement.lang;
const status = document.getElementById("status") ?? makeStatus();

function makeStatus() {
  const made = Object.assign(document.createElement("p"), { id: "status", role: "status" });
  document.body.append(made);
  return made;
}

/** Show *text* until something else is told, and have it read out. */
export function tell(text) {
  status.textContent = text;
}

// What an action before this page did stands in the page: only a change is read out.
if (status.textContent) setTimeout(() => tell(status.textContent.trim()), 100);

const UNITS = [["second", 1], ["minute", 60], ["hour", 3600], ["day", 86400], ["month", 2592000], ["year", 31536000]];

function inWords(seconds) {
  const fits = ([, length], index) => Math.round(Math.abs(seconds) / length) * length < (UNITS[index + 1]?.[1] ?? Infinity);
  const [unit, length] = UNITS.find(fits);
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

export function size(bytes) {
  const steps = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** steps).toFixed(steps && 1)} ${["B", "KiB", "MiB", "GiB", "TiB"][steps]}`;
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

export function enhance(part) {
  for (const time of part.querySelectorAll("time")) {
    time.title = new Date(time.dateTime).toLocaleString(language);
    time.textContent = inWords((new Date(time.dateTime) - Date.now()) / 1000);
  }
  for (const image of part.querySelectorAll(".thumb img")) {
    const mark = () => {
      const small = image.naturalWidth < 160 && image.naturalHeight < 160;
      image.classList.toggle("small", small && !image.srcset); // a variant's size is that of its place
    };
    if (image.complete) mark();
    image.addEventListener("load", mark);
    const drop = () => image.remove(); // the type's icon stands in for what cannot be shown
    if (image.complete && !image.naturalWidth && image.srcset) drop();
    image.addEventListener("error", drop);
  }
  for (const excerpt of part.querySelectorAll("[data-excerpt]")) visible.observe(excerpt);
  for (const button of part.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard; // there is none over plain HTTP
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(new URL(button.dataset.copy, location.href).href);
      tell(button.dataset.copied);
      const label = button.textContent;
      button.textContent = button.dataset.copied;
      setTimeout(() => (button.textContent = label), 2000);
    });
  }
}

enhance(document);
