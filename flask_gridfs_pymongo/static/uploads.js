// Uploads with progress, previews of texts, times in words, links to copy. Every page works without it.

const AT_ONCE = 3;
const UPDATE = 200; // milliseconds between two updates of a row
const status = document.getElementById("status");
const language = document.documentElement.lang;

// --- What pages show -------------------------------------------------------------------------------------------------

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function inWords(seconds) {
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

function size(bytes) {
  const steps = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** steps).toFixed(steps && 1)} ${["B", "KiB", "MiB", "GiB", "TiB"][steps]}`;
}

const visible = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    visible.unobserve(target);
    fetch(target.dataset.excerpt, { headers: { Range: "bytes=0-599" } })
      .then((answer) => (answer.ok ? answer.text() : ""))
      .then((text) => (target.textContent = text), () => {});
  }
});

function enhance(part) {
  for (const time of part.querySelectorAll("time")) {
    time.title = new Date(time.dateTime).toLocaleString(language);
    time.textContent = inWords((new Date(time.dateTime) - Date.now()) / 1000);
  }
  for (const image of part.querySelectorAll(".thumb img")) {
    const mark = () => image.classList.toggle("small", image.naturalWidth < 160 && image.naturalHeight < 160);
    if (image.complete) mark();
    image.addEventListener("load", mark);
  }
  for (const excerpt of part.querySelectorAll("[data-excerpt]")) visible.observe(excerpt);
  for (const button of part.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard; // there is none over plain HTTP
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(new URL(button.dataset.copy, location.href).href);
      status.textContent = button.dataset.copied;
      const label = button.textContent;
      button.textContent = button.dataset.copied;
      setTimeout(() => (button.textContent = label), 2000);
    });
  }
}

enhance(document);

// --- Uploads ---------------------------------------------------------------------------------------------------------

const form = document.querySelector("form.upload");
if (form) prepare();

function prepare() {
  const input = form.elements.file;
  const texts = JSON.parse(form.dataset.texts);
  const maxSize = Number(form.dataset.maxSize ?? Infinity);
  const queue = document.querySelector(".queue");
  const waiting = [];
  const running = new Set();
  let done = 0;

  class Upload {
    constructor(file, path) {
      this.file = file;
      this.path = path; // of its folder, which ends in a slash
      this.row = document.getElementById("upload").content.firstElementChild.cloneNode(true);
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
      if (this.file.size > maxSize) return this.show("failed", texts.tooLarge);
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
        done += 1;
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
      if (state === "failed") status.textContent = `${this.file.name}: ${text}`;
      next();
    }
  }

  function next() {
    while (running.size < AT_ONCE && waiting.length) waiting.shift().start();
    if (running.size || !done) return;
    const failed = queue.querySelectorAll("[data-state=failed]").length;
    status.textContent = failed ? texts.someFailed.replace("{number}", failed) : texts.allDone.replace("{number}", done);
    done = 0;
    refresh();
  }

  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("files-list");
    const shown = document.getElementById("files-list");
    const playing = [...document.querySelectorAll("audio, video")].some((media) => !media.paused);
    if (!fresh || !shown || playing) return; // what was uploaded stays in the queue
    shown.replaceWith(fresh);
    enhance(fresh);
    for (const row of queue.querySelectorAll("[data-state=done]")) row.remove();
    queue.hidden = !queue.children.length;
  }

  function add(files) {
    for (const [file, path] of files) new Upload(file, path);
    if (files.length) status.textContent = texts.started.replace("{number}", files.length);
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
      add(await read(entry).catch(() => (status.textContent = `${entry.name}: ${texts.failed}`, [])));
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
  if ("webkitdirectory" in input) {
    const folder = Object.assign(document.createElement("input"), { type: "file", webkitdirectory: true, hidden: true });
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: texts.chooseFolder });
    button.className = "quiet";
    button.addEventListener("click", () => folder.click());
    folder.addEventListener("change", () => choose(folder));
    input.after(button, folder);
  }
  document.addEventListener("paste", ({ clipboardData }) => add([...clipboardData.files].map((file) => [named(file), ""])));
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    take(event.dataTransfer);
  });
  window.addEventListener("beforeunload", (event) => (running.size || waiting.length) && event.preventDefault());
}
