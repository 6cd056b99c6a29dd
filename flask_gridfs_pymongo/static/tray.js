// The list of uploads below a form: a row each, and one line for all of them.

import { element, size } from "./?asset=page.js";

const UPDATE = 200; // milliseconds between two updates
const STALLED = 3000; // milliseconds without a byte

function button(className, textContent, onclick) {
  return element("button", { type: "button", className: `quiet ${className}`, textContent, onclick });
}

/** How fast bytes go out, over the last seconds. */
class Rate {
  marks = [];

  add(bytes) {
    const now = performance.now();
    this.marks.push([now, bytes]);
    while (this.marks.length > 2 && this.marks[0][0] < now - 5000) this.marks.shift();
  }

  get perSecond() {
    const [[began, first], [now, last]] = [this.marks[0], this.marks.at(-1)];
    return now > began ? Math.max(0, (last - first) / ((now - began) / 1000)) : 0;
  }

  /** When the last byte went out. */
  get moved() {
    const last = this.marks.at(-1)[1];
    return this.marks.find(([, bytes]) => bytes === last)[0];
  }
}

/** One file's row. *actions* are cancel(), retry() and dismiss(). */
export class Row {
  constructor(name, bytes, texts, actions) {
    const part = (className) => element("span", { className });
    this.texts = texts;
    this.bytes = bytes;
    this.sent = 0;
    this.element = element(
      "li",
      {},
      element("span", { className: "name", dir: "auto", title: name, textContent: name }),
      element("span", { className: "facts" }, part("size"), " ", part("note"), " ", part("state")),
      element("progress", { max: 1, value: 0, ariaLabel: name }),
      button("cancel", texts.cancel, actions.cancel),
      button("retry", texts.retry, actions.retry),
      button("dismiss", texts.dismiss, actions.dismiss),
    );
    this.part(".size").textContent = size(bytes);
    for (const action of ["cancel", "retry", "dismiss"]) this.part(`.${action}`).ariaLabel = `${texts[action]}: ${name}`;
  }

  part(selector) {
    return this.element.querySelector(selector);
  }

  get state() {
    return this.element.dataset.state;
  }

  /** Show one of the states waiting, running, done, failed, canceled and refused, in words. */
  show(state, text) {
    const focused = this.element.contains(document.activeElement);
    const busy = ["waiting", "running"].includes(state);
    this.element.dataset.state = state;
    this.say(text);
    this.part(".cancel").hidden = this.part("progress").hidden = !busy;
    this.part(".retry").hidden = !["failed", "canceled"].includes(state);
    this.part(".dismiss").hidden = busy;
    if (state === "running") this.begin();
    if (focused) this.part("button:not([hidden])").focus();
  }

  say(text) {
    if (this.part(".state").textContent !== text) this.part(".state").textContent = text;
  }

  /** Go on from so many bytes. */
  begin(sent = 0) {
    this.sent = sent;
    this.rate = new Rate();
    this.rate.add(sent);
    this.updated = 0;
    this.part("progress").value = this.bytes && sent / this.bytes;
  }

  /** Say why nothing moves, until something does. */
  pause(text) {
    this.paused = true;
    this.say(text);
  }

  progress(sent) {
    this.paused = false;
    this.sent = Math.min(sent, this.bytes);
    this.rate.add(this.sent);
    const now = performance.now();
    if (now - this.updated < UPDATE && this.sent < this.bytes) return;
    this.updated = now;
    this.part("progress").value = this.bytes ? this.sent / this.bytes : 1;
    if (this.sent === this.bytes) return this.say(this.texts.storing);
    const rate = this.rate.perSecond;
    if (rate) this.say([this.texts.rate.replace("{size}", size(rate)), left(this.texts, (this.bytes - sent) / rate)].join(", "));
  }

  /** Say so where nothing moves. */
  watch() {
    if (this.state !== "running" || this.paused || this.sent === this.bytes) return;
    if (performance.now() - this.rate.moved > STALLED) this.say(this.texts.stalled);
  }

  link(url) {
    if (url) this.part(".name").replaceChildren(element("a", { href: url, textContent: this.part(".name").textContent }));
  }
}

function left(texts, seconds) {
  const whole = Math.ceil(seconds);
  const time = whole < 90 ? texts.seconds.replace("{number}", whole) : texts.minutes.replace("{number}", Math.ceil(whole / 60));
  return texts.left.replace("{time}", time);
}

/** All rows of one form. *actions* are cancelAll(), retryAll() and close(). */
export class Tray {
  rows = new Set();

  constructor(form, texts, actions) {
    this.texts = texts;
    this.total = element("p", { className: "total" });
    this.buttons = {
      cancel: button("cancel-all", texts.cancelAll, actions.cancelAll),
      retry: button("retry-all", texts.retryAll, actions.retryAll),
      close: button("close", texts.close, actions.close),
    };
    this.list = element("ul", { className: "queue", ariaLabel: texts.uploads, hidden: true });
    this.bar = element("progress", { max: 1, value: 0, ariaLabel: texts.uploads });
    this.head = element("div", { className: "tray-head" }, this.total, ...Object.values(this.buttons), this.bar);
    this.element = element("section", { className: "tray", ariaLabel: texts.uploads, hidden: true }, this.head, this.list);
    form.after(this.element);
    this.changed();
    setInterval(() => this.update(), 500);
  }

  add(row) {
    this.rows.add(row);
    this.list.append(row.element);
    this.changed();
  }

  remove(row) {
    this.rows.delete(row);
    row.element.remove();
    this.changed();
  }

  /** Ask what is to be done with files whose names are taken: "new" versions, "both" (another name), or "skip". */
  ask(names) {
    const dialog = element("dialog", { className: "over asks" });
    const choices = { new: this.texts.newVersion, both: this.texts.keepBoth, skip: this.texts.skip };
    const buttons = Object.entries(choices).map(([value, text]) => button(value, text, () => dialog.close(value)));
    const title = element("h2", { textContent: this.texts.taken[names.length === 1 ? 0 : 1].replace("{number}", names.length) });
    const list = element("ul", { className: "selected" }, ...names.map((name) => element("li", { textContent: name, dir: "auto" })));
    dialog.append(element("div", { className: "card" }, title, list, element("p", { className: "actions" }, ...buttons)));
    dialog.ariaLabel = title.textContent;
    this.element.after(dialog);
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(dialog.returnValue || "skip");
      });
    });
  }

  of(...states) {
    return [...this.rows].filter((row) => states.includes(row.state));
  }

  changed() {
    this.element.hidden = this.list.hidden = !this.rows.size;
    const [busy, left] = [this.of("waiting", "running").length, this.of("failed", "canceled").length];
    if (!busy) this.rate = null;
    this.buttons.cancel.hidden = busy < 2;
    this.buttons.retry.hidden = left < 2;
    this.buttons.close.hidden = Boolean(busy) || this.rows.size < 2;
    this.head.hidden = this.rows.size < 2;
    this.update();
  }

  /** The line for all: how many, how much, and for how long. */
  update() {
    for (const row of this.rows) row.watch();
    const counted = this.of("waiting", "running", "done");
    const [bytes, sent] = ["bytes", "sent"].map((what) => counted.reduce((sum, row) => sum + row[what], 0));
    const parts = [
      this.texts.counted.replace("{done}", this.of("done").length).replace("{count}", counted.length),
      this.texts.sent.replace("{sent}", size(sent)).replace("{size}", size(bytes)),
    ];
    if (this.of("running").length) {
      this.rate ??= new Rate();
      this.rate.add(sent);
      const rate = this.rate.perSecond;
      if (rate) parts.push(left(this.texts, (bytes - sent) / rate));
    }
    const failed = this.of("failed", "refused").length;
    const isOver = failed && !this.of("waiting", "running").length;
    const done = this.of("done").length;
    this.total.classList.toggle("failed", Boolean(failed));
    this.total.hidden = counted.length < 2 && !isOver;
    this.total.textContent = isOver ? this.texts.someFailed.replace("{done}", done).replace("{failed}", failed) : parts.join(", ");
    this.bar.value = bytes ? sent / bytes : Number(!isOver && done > 0);
    this.bar.hidden = counted.length < 2;
  }
}
