// How long somebody looked at a track: time in which the page is hidden does not count.

export class Stopwatch {
  #spentMs = 0;
  #since = null;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#pause();
      else this.#since = performance.now();
    });
  }

  start() {
    this.#spentMs = 0;
    this.#since = document.hidden ? null : performance.now();
  }

  #pause() {
    if (this.#since !== null) this.#spentMs += performance.now() - this.#since;
    this.#since = null;
  }

  get seconds() {
    const running = this.#since === null ? 0 : performance.now() - this.#since;
    return Math.round((this.#spentMs + running) / 10) / 100;
  }
}
