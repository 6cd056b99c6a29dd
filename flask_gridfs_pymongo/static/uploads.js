// Uploads with progress. The form works without it.

import { size, tell } from "./?asset=page.js";

const AT_ONCE = 3;
const UPDATE = 200; // milliseconds between two updates of a row

const forms = document.querySelectorAll("form.upload");
for (const form of forms) prepare(form);

/** Make an element; *children* are elements or texts. */
function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function prepare(form) {
  const input = form.elements.file;
  const texts = JSON.parse(form.dataset.texts);
  const maxSize = Number(form.dataset.maxSize ?? Infinity);
  const queue = element("ul", { className: "queue", ariaLabel: texts.uploads, hidden: true });
  form.after(queue);
  const waiting = [];
  const running = new Set();
  let saved = []; // what the server says of the files that are stored
  let renamed = [];

  class Upload {
    constructor(file, path) {
      this.file = file;
      this.path = path; // of its folder, which ends in a slash
      const part = (className) => element("span", { className });
      this.row = element(
        "li",
        {},
        Object.assign(part("name"), { dir: "auto" }),
        element("span", { className: "facts" }, part("size"), " ", part("note"), " ", part("state")),
        element("progress", { max: 1, value: 0 }),
        element("button", { type: "button", className: "quiet cancel", textContent: texts.cancel }),
        element("button", { type: "button", className: "quiet retry", textContent: texts.retry, hidden: true }),
      );
      this.part(".name").textContent = path + file.name;
      this.part(".size").textContent = size(file.size);
      this.part("progress").ariaLabel = path + file.name;
      this.part(".cancel").addEventListener("click", () => this.cancel());
      this.part(".retry").addEventListener("click", () => this.retry());
      queue.append(this.row);
      queue.hidden = false;
      this.wait();
    }

    part(selector) {
      return this.row.querySelector(selector);
    }

    show(state, text, { retry = false, cancel = false } = {}) {
      const focused = this.row.contains(document.activeElement);
      this.row.dataset.state = state;
      this.part(".state").textContent = text;
      this.part(".retry").hidden = !retry;
      this.part(".cancel").hidden = !cancel;
      this.part("progress").hidden = !cancel;
      if (focused) (this.row.querySelector("button:not([hidden])") ?? input).focus();
    }

    wait() {
      if (this.file.size > maxSize) return this.show("failed", texts.tooLarge.replace("{size}", size(maxSize)));
      this.show("waiting", texts.waiting, { cancel: true });
      waiting.push(this);
      if (waiting.length <= 100) this.asked ??= this.announceVersion();
    }

    retry() {
      this.wait();
      next();
    }

    cancel() {
      if (waiting.includes(this)) waiting.splice(waiting.indexOf(this), 1);
      this.request?.abort();
      this.end("canceled", texts.canceled, { retry: true });
    }

    async start() {
      running.add(this);
      this.show("running", "", { cancel: true });
      this.part("progress").value = 0;
      this.asked ??= this.announceVersion();
      const action = new URL(form.action);
      const folder = form.dataset.folder + this.path;
      if (folder) action.searchParams.set("folder", folder);
      const body = new FormData();
      if (form.elements.csrf_token) body.append("csrf_token", form.elements.csrf_token.value);
      body.append("file", this.file, this.file.name);
      this.request = new XMLHttpRequest();
      this.request.open("POST", action);
      this.request.setRequestHeader("Accept", "application/json");
      this.request.upload.addEventListener("progress", (event) => this.progress(event));
      this.request.addEventListener("load", () => this.answered());
      this.request.addEventListener("error", () => this.end("failed", texts.lost, { retry: true }));
      this.began = this.updated = performance.now();
      this.request.send(body);
    }

    async announceVersion() {
      const name = (form.dataset.folder + this.path + this.file.name).normalize("NFC");
      const url = new URL(form.dataset.index, location.href);
      url.searchParams.set("prefix", name);
      try {
        const answer = await fetch(url, { headers: { Accept: "application/json" } });
        const { files } = await answer.json();
        const versions = files[0]?.filename === name ? files[0].versions : 0;
        const number = versions < 100 ? versions : "100+"; // the listing counts no further
        this.part(".note").textContent = versions ? texts.becomes.replace("{number}", number) : "";
      } catch {} // it is no more than a hint
    }

    progress({ loaded, total }) {
      const now = performance.now();
      if (now - this.updated < UPDATE && loaded < total) return;
      this.updated = now;
      const perSecond = loaded / ((now - this.began) / 1000);
      const left = Math.ceil((total - loaded) / perSecond);
      const time = left < 90 ? texts.seconds.replace("{number}", left) : texts.minutes.replace("{number}", Math.ceil(left / 60));
      this.part("progress").value = loaded / total;
      this.part(".state").textContent = `${texts.rate.replace("{size}", size(perSecond))}, ${texts.left.replace("{time}", time)}`;
    }

    answered() {
      if (this.request.status === 201) {
        const [file] = JSON.parse(this.request.responseText).files;
        saved.push(file);
        const sent = (form.dataset.folder + this.path + this.file.name).normalize("NFC");
        if (file.filename !== sent) renamed.push(texts.renamed.replace("{old}", sent).replace("{new}", file.filename));
        this.end("done", texts.done);
        return;
      }
      let reason = "";
      try {
        reason = JSON.parse(this.request.responseText).detail;
      } catch {} // a proxy's own page
      this.end("failed", reason || `${texts.failed} (${this.request.status})`, { retry: true });
    }

    end(state, text, buttons) {
      running.delete(this);
      this.show(state, text, buttons);
      if (state === "failed") tell(`${this.file.name}: ${text}`);
      next();
    }
  }

  function next() {
    while (running.size < AT_ONCE && waiting.length) waiting.shift().start();
    if (running.size || !saved.length) return;
    const failed = queue.querySelectorAll("[data-state=failed]").length;
    const counted = failed ? texts.someFailed.replace("{number}", failed) : texts.allDone.replace("{number}", saved.length);
    tell([counted, ...renamed].join(" "));
    const event = new CustomEvent("uploads:done", { bubbles: true, detail: { files: saved } });
    [saved, renamed] = [[], []];
    form.dispatchEvent(event);
    if (form.dataset.next && !failed) location.assign(form.dataset.next);
  }

  // A page that shows them has no need of their rows.
  document.addEventListener("uploads:shown", () => {
    for (const row of queue.querySelectorAll("[data-state=done]")) row.remove();
    queue.hidden = !queue.children.length;
  });

  function add(files) {
    for (const [file, path] of files) new Upload(file, path);
    if (files.length) tell(texts.started.replace("{number}", files.length));
    next();
  }

  const folderOf = (file) => file.webkitRelativePath.slice(0, file.webkitRelativePath.lastIndexOf("/") + 1);
  const withFolders = (files) => [...files].map((file) => [file, folderOf(file)]);

  async function read(entry, path = "") {
    if (entry.isFile) return [[await new Promise((resolve, reject) => entry.file(resolve, reject)), path]];
    const reader = entry.createReader();
    const found = [];
    let batch;
    do {
      batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
      for (const child of batch) found.push(...(await read(child, `${path}${entry.name}/`)));
    } while (batch.length);
    return found;
  }

  async function take(transfer) {
    const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
    if (!entries.every(Boolean)) return add(withFolders(transfer.files));
    for (const entry of entries) {
      add(await read(entry).catch(() => (tell(`${entry.name}: ${texts.failed}`), [])));
    }
  }

  // Browsers call every picture that is copied image.png.
  function named(file) {
    const time = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
    return file.name === "image.png" ? new File([file], `${texts.pasted} ${time}.png`, { type: file.type }) : file;
  }

  function choose(field) {
    add(withFolders(field.files));
    field.value = "";
  }

  form.querySelector("button").hidden = true;
  for (const hint of form.querySelectorAll(".with-script")) hint.hidden = false;
  input.addEventListener("change", () => choose(input));
  if ("webkitdirectory" in input && input.multiple) {
    const folder = element("input", { type: "file", webkitdirectory: true, hidden: true });
    const button = element("button", { type: "button", className: "quiet", textContent: texts.chooseFolder });
    button.addEventListener("click", () => folder.click());
    folder.addEventListener("change", () => choose(folder));
    input.after(button, folder);
  }
  const place = forms.length > 1 ? form : document; // where there are several, each takes what falls on it
  const frame = forms.length > 1 ? form : document.body;
  frame.dataset.drop = texts.dropHere;
  place.addEventListener("paste", ({ clipboardData }) => add([...clipboardData.files].map((file) => [named(file), ""])));
  place.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    frame.classList.add("dropping");
  });
  place.addEventListener("dragleave", (event) => {
    if (!frame.contains(event.relatedTarget)) frame.classList.remove("dropping");
  });
  place.addEventListener("drop", (event) => {
    frame.classList.remove("dropping");
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    take(event.dataTransfer);
  });
  window.addEventListener("beforeunload", (event) => (running.size || waiting.length) && event.preventDefault());
}
