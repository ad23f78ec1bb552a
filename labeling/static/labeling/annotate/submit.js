// The way out: every answer goes into localStorage first, under a key of its own, and leaves it
// when the server has acknowledged it. Offline it waits; sent twice it counts once.

import { Offline, post } from "./http.js";

const RETRY_MS = [1000, 2000, 5000, 10000, 20000];

export class Outbox {
  #isSending = false;
  #failures = 0;
  #timer = 0;
  #onItsWay = null;

  // onSent(entry, body), onRefused(entry, error), onConflict(entry, body), onState(state)
  constructor({ prefix, ...handlers }) {
    this.prefix = `audiotag/outbox/${prefix}/`;
    Object.assign(this, handlers);
    window.addEventListener("online", () => this.send());
    window.addEventListener("offline", () => this.#tell("offline"));
  }

  entries() {
    return this.#all().filter((entry) => !entry.refused);
  }

  #all() {
    const found = [];
    for (let i = 0; i < localStorage.length; i += 1) {
      const key = localStorage.key(i);
      if (!key.startsWith(this.prefix)) continue;
      try {
        found.push(JSON.parse(localStorage.getItem(key)));
      } catch { /* not ours to lose: what cannot be read stays where it is */ }
    }
    return found.sort((a, b) => a.at - b.at);
  }

  // entry: {key, url, body, name}; it is on disk when this returns.
  add(entry) {
    this.put(entry);
    this.send();
  }

  put(entry) {
    const stored = { at: Date.now() + performance.now() / 1e7, ...entry };
    localStorage.setItem(this.prefix + entry.key, JSON.stringify(stored));
  }

  // What the server refused: kept until the person has dealt with it, and not sent again.
  refused() {
    return this.#all().filter((entry) => entry.refused);
  }

  // Wait while this entry is on its way; offline it does not leave, and can be taken out.
  async settled(key) {
    if (key && this.#onItsWay?.key === key) await this.#onItsWay.promise;
  }

  remove(key) {
    localStorage.removeItem(this.prefix + key);
  }

  async send() {
    if (this.#isSending) return;
    this.#isSending = true;
    clearTimeout(this.#timer);
    try {
      for (let next = this.entries()[0]; next; next = this.entries()[0]) {
        this.#tell("sending");
        this.#onItsWay = { key: next.key, promise: this.#sendOne(next) };
        const goesOn = await this.#onItsWay.promise;
        this.#onItsWay = null;
        if (!goesOn) return;
        this.#failures = 0;
      }
      this.#tell("saved");
    } finally {
      this.#isSending = false;
      this.#onItsWay = null;
    }
  }

  // Return whether to go on with the next one.
  async #sendOne(entry) {
    try {
      const body = await post(entry.url, entry.body);
      this.remove(entry.key);
      this.onSent(entry, body);
      return true;
    } catch (error) {
      if (error instanceof Offline || error.isPassing) return this.#later(error);
      if (error.isSessionOver) return this.#stop("session");
      if (error.status === 409) return this.onConflict(entry, error.body);
      if (error.status === undefined) throw error;
      this.put({ ...entry, refused: error.message });
      this.onRefused(entry, error);
      return true;
    }
  }

  #later(error) {
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)];
    this.#failures += 1;
    this.#timer = setTimeout(() => this.send(), wait);
    return this.#stop(error instanceof Offline ? "offline" : "trouble");
  }

  #stop(state) {
    this.#tell(state);
    return false;
  }

  #tell(state) {
    this.onState(state, this.entries().length);
  }
}
