// The page of a link for uploads: what has arrived is listed, also after its row in the queue was dismissed.

import { element, size } from "./?asset=page.js";

const receipt = document.querySelector(".fgp .receipt");

document.addEventListener("uploads:done", ({ detail: { files } }) => {
  receipt.hidden = false;
  for (const { filename, length, sha256 } of files) {
    const facts = [" ", element("span", { className: "size", textContent: size(length) })];
    if (sha256) facts.push(" ", element("code", { textContent: sha256 }));
    receipt.querySelector("ul").append(element("li", {}, element("span", { dir: "auto", textContent: filename }), ...facts));
  }
});
