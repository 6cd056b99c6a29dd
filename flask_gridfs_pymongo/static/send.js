// Files on their way to the server: small ones together in a form, a large one in slices that can go on (tus 1.0.0).

const TUS = { "Tus-Resumable": "1.0.0" };
const PAUSES = [1, 2, 4, 8, 15, 30]; // seconds before a slice is tried again; the last one repeats
const ATTEMPTS = 20; // without a byte of progress
const SILENCE = 15; // seconds without a byte, after which a connection is taken for dead
const ANSWER = 120; // seconds that an answer may take once everything was sent
const KEPT = 7 * 86400; // seconds for which this browser knows an upload's address

/** What the server said no to; its message is for people. */
class Refused extends Error {
  constructor(request, { failed, ended }) {
    let detail = "";
    try {
      detail = JSON.parse(request.responseText).detail;
    } catch {} // a page of a proxy or a login
    super(detail || (request.status < 300 ? ended : `${failed} (${request.status})`));
    this.status = request.status;
  }
}

/** The connection broke, or nothing came through it. */
export class Lost extends Error {}

/** Send one request; *progress* is called with the number of bytes that went out. */
function ask(method, url, { fields = {}, body = null, progress = () => {}, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let watch;
    const expect = (seconds) => {
      clearTimeout(watch);
      watch = setTimeout(() => (reject(new Lost()), request.abort()), seconds * 1000);
    };
    request.open(method, url);
    for (const [name, value] of Object.entries(fields)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      expect(loaded < total ? SILENCE : ANSWER);
      progress(loaded);
    });
    request.upload.addEventListener("load", () => expect(ANSWER));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Lost()));
    request.addEventListener("abort", () => reject(signal.reason ?? new Lost()));
    request.addEventListener("loadend", () => clearTimeout(watch));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) return reject(signal.reason);
    expect(body ? SILENCE : ANSWER);
    request.send(body);
  });
}

/**
 * Send *files* in one form, which stores all of them or none; returns what the server says of each.
 *
 * @param target action: where to; token: a CSRF token or undefined; texts: those of the form
 */
export async function sendForm(files, target, { progress, signal }) {
  const body = new FormData();
  if (target.token) body.append("csrf_token", target.token);
  for (const file of files) body.append("file", file, file.name);
  const request = await ask("POST", target.action, { fields: { Accept: "application/json" }, body, progress, signal });
  if (request.status !== 201) throw new Refused(request, target.texts);
  return JSON.parse(request.responseText).files;
}

/**
 * Send one file in slices; returns what the server says of it.
 *
 * What breaks off is tried again from where the server is, with growing pauses and as soon as the network is back. The
 * address is kept, so that the upload can continue after the page was closed.
 *
 * @param target endpoint: where to; slice: bytes in a request; key: what this browser remembers the upload by,
 *   undefined if its address is a secret; else as in sendForm
 * @param on resumed: called with the bytes that the server has; progress: with those that are there or on the way;
 *   trouble: before a pause
 */
export async function sendSlices(file, target, { resumed, progress, trouble, signal }) {
  const fields = { ...TUS, ...(target.token && { "X-CSRFToken": target.token }) };
  const patch = { ...fields, "Content-Type": "application/offset+octet-stream" };
  let address = recall(target.key);
  let known = !address; // whether the offset is
  let [offset, failures] = [0, 0];
  signal.addEventListener("abort", () => {
    forget(target.key);
    if (address) fetch(address, { method: "DELETE", headers: fields, keepalive: true }).catch(() => {});
  });
  const step = async () => {
    if (!address) remember(target.key, (address = await create(file, target, fields, signal)));
    const body = known ? file.slice(offset, offset + target.slice) : null;
    const sent = (bytes) => progress(offset + bytes);
    const request = known
      ? await ask("PATCH", address, { fields: { ...patch, "Upload-Offset": offset }, body, progress: sent, signal })
      : await ask("HEAD", address, { fields, signal });
    const told = Number(request.getResponseHeader("Upload-Offset") ?? NaN);
    if (request.status >= 300 || isNaN(told)) throw new Refused(request, target.texts);
    if (told > offset) failures = 0;
    if (!known) resumed(told);
    [offset, known] = [told, true];
    return request;
  };
  for (;;) {
    try {
      const request = await step();
      if (offset < file.size) continue;
      forget(target.key);
      return await described(request, file);
    } catch (error) {
      if (signal.aborted) throw error;
      if (!retriable(error)) {
        if (error.status >= 300 && error.status !== 401) forget(target.key); // else it goes on after a login
        if (known || ![404, 410].includes(error.status)) throw error;
        [address, offset, known] = [null, 0, true]; // what this browser remembered no longer exists
        continue;
      }
      if ((failures += 1) > ATTEMPTS) throw error;
      known = !address;
      trouble();
      await pause(PAUSES[Math.min(failures, PAUSES.length) - 1], signal);
    }
  }
}

const retriable = (error) => error instanceof Lost || [408, 409, 423, 429].includes(error.status) || (error.status >= 500 && error.status !== 507);

async function create(file, target, fields, signal) {
  const encoded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  const told = [`filename ${encoded(file.name)}`, ...(file.type ? [`filetype ${encoded(file.type)}`] : [])];
  const length = { "Upload-Length": file.size, "Upload-Metadata": told.join(",") };
  const request = await ask("POST", target.endpoint, { fields: { ...fields, ...length }, signal });
  if (request.status !== 201) throw new Refused(request, target.texts);
  return request.getResponseHeader("Location");
}

/** What the server says of the file that is stored now. */
async function described(request, file) {
  const address = request.getResponseHeader("Content-Location");
  const digest = atob(request.getResponseHeader("Repr-Digest")?.split(":")[1] ?? "");
  const sha256 = [...digest].map((byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  const known = { length: file.size, sha256, url: null };
  if (!address) return known; // who came by a link may not read it
  try {
    const answer = await fetch(`${address}&details`, { headers: { Accept: "application/json" } });
    if (answer.ok) return await answer.json();
  } catch {} // it is there all the same
  return known;
}

/** Wait so many seconds, or until the network is back. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, seconds * 1000);
    window.addEventListener("online", resolve, { once: true });
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

// --- What this browser remembers; it may be told not to ----------------------------------------------------------------

function recall(key) {
  if (!key) return null;
  try {
    const { address, time } = JSON.parse(localStorage.getItem(key)) ?? {};
    return time > Date.now() / 1000 - KEPT ? address : null;
  } catch {
    return null;
  }
}

function remember(key, address) {
  if (!key) return;
  try {
    localStorage.setItem(key, JSON.stringify({ address, time: Date.now() / 1000 }));
  } catch {}
}

function forget(key) {
  try {
    localStorage.removeItem(key);
  } catch {}
}
