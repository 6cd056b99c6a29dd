// Which file goes when: a few requests at once, small files together, a large one in slices.

import { called, counted, numbered, size, tell } from "./?asset=page.js";
import { Lost, sendForm, sendSlices } from "./?asset=send.js";
import { Row, Tray } from "./?asset=tray.js";

const AT_ONCE = 3; // requests
const TOGETHER = 50; // files in a form
const PAGES = 5; // of 1,000 names that are searched for those that are taken

/** The uploads of one form. */
export class Queue {
  waiting = [];
  jobs = new Set();
  saved = []; // what the server says of the files that are stored
  renamed = [];
  sent = new Set(); // names, by a link

  constructor(form, texts) {
    this.form = form;
    this.texts = texts;
    this.maxSize = Number(form.dataset.maxSize ?? Infinity);
    this.slice = Number(form.dataset.slice ?? Infinity); // bytes
    this.accepted = form.elements.file.accept.toLowerCase().split(",").map((one) => one.trim()).filter(Boolean);
    const each = (action, ...states) => () => this.tray.of(...states).forEach((row) => this[action](row.upload));
    this.tray = new Tray(form, texts, {
      cancelAll: each("cancel", "waiting", "running"),
      retryAll: each("wait", "failed", "canceled"),
      close: each("dismiss", "done", "failed", "refused", "canceled"),
    });
    document.addEventListener("uploads:shown", () => this.tray.of("done").filter(isListed).forEach((row) => this.tray.remove(row)));
  }

  get busy() {
    return Boolean(this.jobs.size || this.waiting.length);
  }

  /** Add pairs of a file and the path of its folder, which ends in a slash or is empty. */
  async add(files) {
    if (!files.length) return;
    const uploads = files.map(([file, path]) => ({ file, path, folder: this.form.dataset.folder + path })); // one may browse meanwhile
    tell(counted(this.texts.started, uploads.length), true);
    for (const upload of await this.settle(uploads)) this.queue(upload);
    this.next();
  }

  queue(upload) {
    const { file, path, becomes } = upload;
    upload.row = new Row(path + file.name, file.size, this.texts, {
      cancel: () => this.cancel(upload),
      retry: () => this.wait(upload),
      dismiss: () => this.dismiss(upload),
    });
    upload.row.upload = upload;
    if (becomes) upload.row.part(".note").textContent = this.texts.becomes;
    this.tray.add(upload.row);
    if (!this.accepts(file)) upload.row.show("refused", this.texts.notAccepted);
    else if (file.size > this.maxSize) upload.row.show("refused", this.texts.tooLarge.replace("{size}", size(this.maxSize)));
    else this.wait(upload, true);
  }

  /** Ask, once for all, what is to be done with names that are taken; returns the uploads that are left. */
  async settle(uploads) {
    const name = (upload) => (upload.folder + upload.file.name).normalize("NFC");
    const names = await this.names(uploads.map(name));
    const taken = uploads.filter((upload) => names.has(name(upload)) && this.accepts(upload.file) && upload.file.size <= this.maxSize);
    const choice = names === this.sent ? "both" : taken.length && (await this.tray.ask(taken.map(name)));
    if (choice === "skip") return uploads.filter((upload) => !taken.includes(upload));
    for (const upload of uploads) names.add(name(upload));
    for (const upload of taken) {
      const { file } = upload;
      const room = 255 - new TextEncoder().encode(upload.folder).length;
      upload.becomes = choice !== "both";
      for (let number = 2; choice === "both" && names.has(name(upload)); number++) upload.file = called(file, numbered(file.name, number, room));
      names.add(name(upload));
    }
    return uploads;
  }

  /** The names that are taken, of those that begin as *wanted* do; none if there are too many, or they may not be listed. */
  async names(wanted) {
    const stems = wanted.map((name) => name.replace(/\.[^./]*$/, ""));
    const shared = (one, other) => [...one].slice(0, [...one].findIndex((character, place) => character !== [...other][place]) >>> 0).join("");
    if (!this.form.dataset.index) return this.sent; // who came by a link learns of no others
    const found = new Set();
    let url = new URL(this.form.dataset.index, location.href);
    url.search = new URLSearchParams({ prefix: stems.reduce(shared), limit: 1000 });
    try {
      for (let page = 0; url && page < PAGES; page++) {
        const answer = await fetch(url, { headers: { Accept: "application/json" } });
        if (!answer.ok) break;
        const { files, next } = await answer.json();
        for (const { filename } of files) found.add(filename);
        url = next && new URL(next, location.href);
      }
    } catch {} // the uploads say what is wrong
    return found;
  }

  /** Whether the attribute accept lets a file pass, which browsers ask of their own dialog alone. */
  accepts({ name, type }) {
    const fits = (one) => {
      if (one.startsWith(".")) return name.toLowerCase().endsWith(one);
      return one.endsWith("/*") ? one === "*/*" || type.startsWith(one.slice(0, -1)) : type === one;
    };
    return !this.accepted.length || this.accepted.some(fits);
  }

  wait(upload, later = false) {
    upload.row.show("waiting", this.texts.waiting);
    this.waiting.push(upload);
    if (!later) this.next();
  }

  cancel(upload) {
    const { job } = upload;
    this.waiting = this.waiting.filter((other) => other !== upload);
    upload.row.show("canceled", this.texts.canceled);
    job?.abort.abort();
    this.next();
  }

  dismiss({ row }) {
    this.tray.remove(row);
  }

  next() {
    while (this.jobs.size < AT_ONCE && this.waiting.length) this.start(this.take());
    this.tray.changed();
    if (!this.busy && this.saved.length) this.finish();
  }

  isLarge = ({ file }) => file.size > this.slice;

  /** Take the next upload from those that wait, with small ones of the same folder as far as they fit into one form. */
  take() {
    const first = this.waiting[0];
    let bytes = first.file.size;
    const fits = (upload) => {
      if (this.isLarge(upload) || upload.alone || upload.folder !== first.folder) return false;
      return (bytes += upload.file.size) <= Math.min(this.slice, 8 * 1024 * 1024);
    };
    const together = this.isLarge(first) || first.alone ? [] : this.waiting.slice(1).filter(fits).slice(0, TOGETHER - 1);
    const taken = [first, ...together];
    this.waiting = this.waiting.filter((upload) => !taken.includes(upload));
    return taken;
  }

  async start(uploads) {
    const job = { abort: new AbortController() };
    this.jobs.add(job);
    for (const upload of uploads) {
      upload.job = job;
      upload.row.show("running", "");
    }
    try {
      const files = this.isLarge(uploads[0]) ? [await this.sendLarge(uploads[0], job)] : await this.sendSmall(uploads, job);
      uploads.forEach((upload, index) => this.done(upload, files[index]));
    } catch (error) {
      for (const upload of uploads) this.failed(upload, error, uploads.length > 1);
    }
    for (const upload of uploads) upload.job = null;
    this.jobs.delete(job);
    this.next();
  }

  sendSmall(uploads, { abort: { signal } }) {
    const action = new URL(this.form.action);
    action.searchParams.delete("folder");
    if (uploads[0].folder) action.searchParams.set("folder", uploads[0].folder);
    const progress = (sent) => {
      for (const { file, row } of uploads) {
        if (sent > 0) row.progress(sent);
        else row.pause(this.texts.waiting); // for those before it in the form
        sent -= file.size;
      }
    };
    const files = uploads.map(({ file }) => file);
    return sendForm(files, { action, token: this.token, texts: this.texts }, { progress, signal });
  }

  sendLarge({ file, folder, row }, { abort: { signal } }) {
    const { index } = this.form.dataset;
    const endpoint = new URL(index ?? this.form.action, location.href);
    if (folder) endpoint.searchParams.set("folder", folder);
    const key = index && `upload ${endpoint} ${file.name} ${file.size} ${file.lastModified}`;
    const target = { endpoint, key, slice: this.slice, token: this.token, texts: this.texts };
    return sendSlices(file, target, {
      resumed: (offset) => row.begin(offset),
      progress: (sent) => row.progress(sent),
      trouble: () => row.pause(navigator.onLine ? this.texts.again : this.texts.offline),
      signal,
    });
  }

  get token() {
    return this.form.elements.csrf_token?.value;
  }

  done(upload, file) {
    const sent = (upload.folder + upload.file.name).normalize("NFC");
    file.filename ??= sent;
    if (file.filename !== sent) this.renamed.push(this.texts.renamed.replace(/{(old|new)}/g, (_, which) => ({ old: sent, new: file.filename })[which]));
    this.saved.push(file);
    upload.row.progress(upload.file.size);
    upload.row.show("done", this.texts.done);
    upload.row.link(file.url);
  }

  failed(upload, error, together) {
    const { file, row } = upload;
    if (row.state === "canceled") return;
    if (upload.job.abort.signal.aborted) return this.wait(upload, true); // another one of the form was canceled
    if (together && (error.status < 500 || error.status === 507)) {
      upload.alone = true; // the form was refused for one of them
      return this.wait(upload, true);
    }
    const text = error instanceof Lost ? this.texts.lost : error.message;
    row.show("failed", text);
    tell(`${file.name}: ${text}`, false, true);
  }

  finish() {
    const failed = this.tray.of("failed", "refused").length;
    const stored = this.saved.length;
    const some = this.texts.someFailed.replace("{done}", stored).replace("{failed}", failed);
    const done = failed ? some : counted(this.texts.allDone, stored);
    tell(this.renamed.length ? [`${done}.`, ...this.renamed].join(" ") : done, false, failed > 0);
    const event = new CustomEvent("uploads:done", { bubbles: true, detail: { files: this.saved } });
    [this.saved, this.renamed] = [[], []];
    this.form.dispatchEvent(event);
    const { next } = this.form.dataset;
    const isShown = document.querySelector(".fgp .listing") && new URL(next, location.href).href === location.href;
    if (next && !failed && !isShown) location.assign(next);
  }
}

/** Whether the listing shows what the row links to. */
function isListed(row) {
  const url = row.part(".name a")?.href;
  return [...document.querySelectorAll(".fgp .listing a")].some(({ href }) => url && href.startsWith(url));
}
