// The listing shows what was uploaded without being loaded again.

import { enhance } from "./?asset=page.js";

document.addEventListener("uploads:done", async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("files-list");
  const shown = document.getElementById("files-list");
  const playing = [...document.querySelectorAll("audio, video")].some((media) => !media.paused);
  if (!fresh || !shown || playing) return; // what was uploaded stays in the queue
  shown.replaceWith(fresh);
  enhance(fresh);
  document.dispatchEvent(new Event("uploads:shown"));
});
