// Pages of this blueprint are exchanged in place, so that uploads go on while one browses; a file, and whatever asks
// something, opens over the listing. Each has a URL, and without this script is a page of its own.

import { element, enhance, tell } from "./?asset=page.js";

const panel = document.querySelector(".fgp-panel[data-index]");
const index = panel && new URL(panel.dataset.index, location.href).pathname;
/** Whether this is our own page, and not one of the application that shows a listing. */
const own = Boolean(panel?.querySelector(".listing"));
let listed = location.href; // the listing below what is open
let latest = 0; // the number of the last page that was asked for
let busy = 0; // requests that are not answered yet
const sending = new WeakSet(); // forms, which a second click does not send again
let [opened, focused] = []; // the URL of what is open, and what opened it

const over = element("dialog", { className: "over" });
if (own) panel.append(over);

function isPage({ origin, pathname, searchParams }) {
  if (origin !== location.origin || !pathname.startsWith(index) || searchParams.has("zip") || searchParams.has("signed")) return false;
  const named = ["details", "versions", "delete"].some((name) => searchParams.has(name));
  return named || (pathname.endsWith("/") && !searchParams.has("id") && !searchParams.has("asset"));
}

/** Show the page at *url*, or what the server answers to the fields *body*; *step* is what that is in the history. */
export async function go(url, body = null, step = "pushState") {
  if (!own) return body ? submit(url, body) : location.assign(url);
  if (!mayLeave()) return;
  panel.classList.toggle("busy", (busy += 1));
  await show(url, body, step).finally(() => panel.classList.toggle("busy", (busy -= 1)));
}

async function show(url, body, step) {
  const how = body ? { method: "POST", body } : {};
  const asked = (latest += 1);
  const answer = await fetch(url, { ...how, headers: { Accept: "text/html" } }).catch(() => null);
  if (!body && asked !== latest) return; // the visitor went elsewhere meanwhile
  const isHtml = answer?.headers.get("Content-Type")?.startsWith("text/html");
  const page = isHtml && new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page && page.querySelector(".fgp-panel");
  if (!fresh) return fail(answer, url, body);
  const asks = fresh.querySelector(".card");
  if (body && asks && !answer.ok && !asks.querySelector("form")) return tell(asks.querySelector("p").textContent, false, true);
  const isFile = !asks && !fresh.querySelector(".listing");
  // From file to file, one is still a step away from the listing.
  if (step && !asks && answer.url !== location.href) history[isFile && over.open ? "replaceState" : step](null, "", url.includes("#") ? `${answer.url.split("#")[0]}#${url.split("#")[1]}` : answer.url);
  if (!asks) document.title = page.title;
  if (asks || isFile) return open(fresh);
  if (over.open) over.close();
  exchange(fresh);
  if (step && answer.url !== listed) scrollTo(0, 0);
  listed = answer.url;
}

/** Nothing came, or a page of a proxy or a login. What the visitor typed and selected stays. */
function fail(answer, url, body) {
  const { failed, ended } = panel.dataset;
  if (!answer || answer.status >= 500) tell(failed, false, true);
  else if (body) tell(ended, false, true);
  else location.assign(url);
}

/** Whether nothing is lost if what is open is closed; viewer.js asks. */
const mayLeave = () => !over.open || document.dispatchEvent(new Event("fgp:leaving", { cancelable: true }));

function submit(action, fields) {
  const inputs = [...fields].map(([name, value]) => element("input", { type: "hidden", name, value }));
  const form = element("form", { method: "post", action, hidden: true }, ...inputs);
  document.body.append(form);
  form.submit();
}

/** Show the files of a page that was fetched; the form for uploads stays, with what it sends. */
function exchange(fresh) {
  for (const part of [".top", ".listing"]) {
    panel.querySelector(part).replaceWith(fresh.querySelector(part));
    enhance(panel.querySelector(part));
  }
  const [form, other] = [panel, fresh].map((one) => one.querySelector("form.upload"));
  if (form && other) {
    Object.assign(form.dataset, { folder: other.dataset.folder });
    form.action = other.action;
  } else if (other) location.reload(); // its script is not here
  if (form) form.hidden = !other;
  if (document.activeElement === document.body) panel.querySelector(".listing .name")?.focus({ preventScroll: true }); // what had it is gone
  tell(fresh.querySelector(".status"));
  document.dispatchEvent(new Event("uploads:shown"));
}

function open(fresh) {
  focused ??= document.activeElement;
  over.replaceChildren(...fresh.children);
  over.classList.toggle("asks", Boolean(over.querySelector(".card")));
  over.ariaLabel = over.querySelector("h1")?.textContent ?? document.title;
  if (!over.open) over.showModal();
  if (!over.matches(".asks")) opened = location.href;
  over.scrollTop = 0;
  enhance(over);
  const said = over.querySelector(".status");
  if (said?.textContent) tell(said);
  document.dispatchEvent(new Event("fgp:opened"));
}

/** Close what is open over the listing, and go back to its URL. */
export function close() {
  if (location.href === listed) over.close();
  else history.back();
}

/** Remember the view or the order that a link chooses, for URLs that name none. */
function keep(name, { searchParams }) {
  document.cookie = `uploads_${name}=${searchParams.get(name)}; path=${index}; max-age=31536000; samesite=lax`;
}

if (own) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".fgp-panel a[href]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.matches(".over .cancel") && location.href === listed) return event.preventDefault(), over.close();
    const url = new URL(link.href);
    if (!isPage(url) || event.defaultPrevented) return;
    event.preventDefault();
    if (link.dataset.keep) keep(link.dataset.keep, url);
    if (link.closest(".listing")) focused = link;
    go(url.href, null, link.dataset.keep ? "replaceState" : "pushState"); // Back leads to places, not to views
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.closest(".fgp-panel") || form.matches(".upload") || event.defaultPrevented) return;
    const action = new URL(event.submitter?.getAttribute("formaction") ?? form.getAttribute("action"), location.href);
    if (action.searchParams.has("zip")) return;
    event.preventDefault();
    const fields = new URLSearchParams(new FormData(form, event.submitter));
    const isPost = form.method === "post";
    if (!isPost) action.search = fields;
    if (sending.has(form)) return;
    sending.add(form);
    go(action.href, isPost ? fields : null).finally(() => sending.delete(form));
  });
  over.addEventListener("cancel", (event) => {
    event.preventDefault();
    close();
  });
  over.addEventListener("close", () => {
    over.replaceChildren();
    (focused?.isConnected ? focused : panel.querySelector(".listing .name"))?.focus();
    focused = null;
  });
  addEventListener("popstate", () => {
    if (!mayLeave()) return history.pushState(null, "", opened);
    if (location.href.split("#")[0] === listed) {
      if (over.open) over.close();
    } else go(location.href, null, "");
  });
}
