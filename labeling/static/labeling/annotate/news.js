// What changes around the desk: figures, how far the next training is, a new guideline.

import { get, post } from "./http.js";
import { showCount } from "./view.js";

const EVERY_MS = 30_000;
const SOON_MS = 800;
const byId = (id) => document.getElementById(id);

export class News {
  #timer = 0;

  // isSettled(): no answer is on its way, so that the server's figures are the true ones.
  constructor({ here, isSettled }) {
    Object.assign(this, { here, isSettled });
    setInterval(() => document.hidden || this.#ask(), EVERY_MS);
  }

  // Many answers in a row ask once.
  askSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), SOON_MS);
  }

  async #ask() {
    try {
      this.#show(await get(`${this.here}state/`));
    } catch { /* of no weight: the next one may get through */ }
  }

  async acknowledge() {
    const box = byId("guideline");
    if (!box.hidden) this.#show(await post(`${this.here}guideline/${box.dataset.number}/`, {}));
  }

  #show({ figures, loop, guideline }) {
    if (this.isSettled()) {
      for (const name of ["today", "ranked"]) showCount(name, figures[name]);
    }
    byId("loop-line").textContent = loop;
    byId("loop-line").hidden = !loop;
    const box = byId("guideline");
    box.hidden = guideline === null;
    if (guideline === null) return;
    box.dataset.number = guideline.number;
    byId("guideline-words").textContent =
      `Guideline ${guideline.number} has been in force since ${guideline.since}:`;
  }
}
