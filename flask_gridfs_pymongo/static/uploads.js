// Chosen, dropped and pasted files go to the server with progress. The form works without it.

import { tell } from "./?asset=page.js";
import { Queue } from "./?asset=queue.js";
import { element } from "./?asset=tray.js";

const forms = document.querySelectorAll("form.upload");
for (const form of forms) prepare(form);

function prepare(form) {
  const input = form.elements.file;
  const texts = JSON.parse(form.dataset.texts);
  const queue = new Queue(form, texts);
  const add = (files) => queue.add(files);

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

  form.classList.add("scripted");
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
  window.addEventListener("beforeunload", (event) => queue.busy && event.preventDefault());
}
