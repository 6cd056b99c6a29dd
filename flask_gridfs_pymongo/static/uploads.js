// Chosen, dropped and pasted files go to the server with progress. The form works without it.

import { called, element, numbered, tell } from "./?asset=page.js";

const forms = document.querySelectorAll(".fgp form.upload");
// Each blueprint of the page brings this script.
for (const form of forms) if (!form.classList.contains("scripted")) prepare(form);

function prepare(form) {
  const input = form.elements.file;
  const texts = JSON.parse(form.dataset.texts);
  let [queue, loading] = [null, null];
  const refuse = (text) => (tell(text, false, true), []);
  const takesFolders = form.querySelector("[data-choose=folder]");

  // What sends files comes after the pictures of the page.
  const start = ({ Queue }) => (queue = new Queue(form, texts));
  const load = () => (loading ??= import("./?asset=queue.js").then(start, () => (loading = null)));

  async function add(files) {
    if (!files.length) return;
    if (files.length > 1 && !input.multiple) return refuse(texts.oneOnly);
    await load();
    if (queue) queue.add(apart(files));
    else refuse(texts.lost);
  }

  // Phones call each of several pictures image.jpg.
  function apart(files) {
    const taken = new Set();
    return files.map(([file, path]) => {
      let { name } = file;
      for (let number = 2; taken.has(path + name); number++) name = numbered(file.name, number);
      taken.add(path + name);
      return [name === file.name ? file : called(file, name), path];
    });
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
    const found = [];
    for (const entry of entries) {
      if (entry.isDirectory && !takesFolders) refuse(`${entry.name}: ${texts.noFolders}`);
      else found.push(...(await read(entry).catch(() => refuse(`${entry.name}: ${texts.failed}`))));
    }
    add(found);
  }

  // Browsers call every picture that is copied image.png.
  function named(file) {
    const time = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
    return file.name === "image.png" ? called(file, `${texts.pasted} ${time}.png`) : file;
  }

  function choose(field) {
    add(withFolders(field.files));
    field.value = "";
  }

  form.classList.add("scripted");
  if (document.readyState === "complete") load();
  else window.addEventListener("load", load, { once: true });
  const [visit] = performance.getEntriesByType("navigation");
  if (input.files.length && visit?.type === "navigate") choose(input); // chosen before this script was there
  input.addEventListener("change", () => choose(input));
  const part = form.closest(".fgp-panel") ?? form; // the menu of a listing has buttons for both
  part.addEventListener("click", ({ target }) => target.closest("[data-choose=files]") && input.click());
  if (takesFolders) {
    const folder = element("input", { type: "file", webkitdirectory: true, hidden: true });
    takesFolders.after(folder);
    part.addEventListener("click", ({ target }) => target.closest("[data-choose=folder]") && folder.click());
    folder.addEventListener("change", () => choose(folder));
  }
  // A form that is alone takes what falls anywhere on the page, else what falls on it.
  const alone = forms.length === 1;
  const place = alone ? document : part;
  const hint = form.querySelector("[data-here]");
  if (!alone) hint.textContent = hint.dataset.here;
  const target = element("div", { className: "drop", hidden: true, textContent: texts.dropHere });
  target.classList.toggle("everywhere", alone);
  (alone ? form.parentElement : part).append(target); // the form of a listing is hidden
  place.addEventListener("paste", ({ clipboardData }) => add([...clipboardData.files].map((file) => [named(file), ""])));
  place.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    target.hidden = false;
  });
  place.addEventListener("dragleave", (event) => {
    if (!(alone ? document.body : part).contains(event.relatedTarget)) target.hidden = true;
  });
  place.addEventListener("drop", (event) => {
    target.hidden = true;
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    take(event.dataTransfer);
  });
  window.addEventListener("beforeunload", (event) => queue?.busy && event.preventDefault());
}
