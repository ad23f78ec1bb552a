// The sound: one audio element at a time (the next track's is loaded ahead), and its controls.

export const MARKS = [10, 25, 50, 75, 90];
const EXCERPT_S = 40;
const SPEEDS = [0.75, 1, 1.25, 1.5];
const STORE = "audiotag/player";

export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export class Player {
  #listening = new AbortController();

  constructor({ audio, onTime, onState, onError }) {
    Object.assign(this, { audio, onTime, onState, onError });
    this.settings = { speed: 1, volume: 1, autoplay: false, middle: false, loop: false };
    try {
      Object.assign(this.settings, JSON.parse(localStorage.getItem(STORE) ?? "{}"));
    } catch { /* what is stored is damaged: the defaults do */ }
  }

  // Take the element that was loaded ahead; the old one stops and lets its file go.
  load(audio, { lengthS }) {
    this.#listening.abort();
    this.#listening = new AbortController();
    if (this.audio !== audio) {
      this.audio.pause();
      this.audio.removeAttribute("src");
      this.audio.load();
    }
    this.audio = audio;
    this.knownLengthS = lengthS;
    const { signal } = this.#listening;
    const on = (name, act) => audio.addEventListener(name, act, { signal });
    on("timeupdate", () => this.#moved());
    on("seeked", () => this.onTime());
    for (const name of ["play", "pause", "ended", "durationchange"]) on(name, () => this.onState());
    on("error", () => audio.hasAttribute("src") && this.onError());
    this.#apply();
    if (audio.error) this.onError();
    if (!audio.hasAttribute("src")) return this.onState();
    if (this.settings.middle) this.#whenReady(() => this.seek(this.excerpt[0]));
    if (this.settings.autoplay) this.play();
    this.onState();
  }

  #whenReady(act) {
    if (this.audio.readyState >= 1) act();
    else this.audio.addEventListener("loadedmetadata", act, { once: true });
  }

  #moved() {
    const [from, to] = this.excerpt;
    if (this.settings.loop && !this.audio.paused && this.audio.currentTime >= to) this.seek(from);
    this.onTime();
  }

  #apply() {
    this.audio.playbackRate = this.settings.speed;
    this.audio.preservesPitch = true;
    this.audio.volume = this.settings.volume;
    this.audio.loop = this.settings.loop && this.length <= EXCERPT_S;
  }

  set(change) {
    Object.assign(this.settings, change);
    localStorage.setItem(STORE, JSON.stringify(this.settings));
    this.#apply();
    this.onState();
  }

  get hasSound() {
    return this.audio.hasAttribute("src") && !this.audio.error;
  }

  get length() {
    return Number.isFinite(this.audio.duration) ? this.audio.duration : this.knownLengthS ?? 0;
  }

  get share() {
    return this.length ? this.audio.currentTime / this.length : 0;
  }

  get excerpt() {
    const middle = this.length / 2;
    const from = Math.max(0, middle - EXCERPT_S / 2);
    return [from, Math.min(this.length, from + EXCERPT_S)];
  }

  play() {
    // Browsers refuse sound before the first key or click: not an error, the button says so.
    this.audio.play().catch((error) => {
      if (error.name !== "NotAllowedError" && error.name !== "AbortError") this.onError();
    });
  }

  toggle() {
    if (!this.hasSound) return;
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  seek(seconds) {
    if (!this.hasSound) return;
    this.audio.currentTime = Math.min(Math.max(0, seconds), Math.max(0, this.length - 0.05));
    this.onTime();
  }

  move(seconds) {
    this.seek(this.audio.currentTime + seconds);
  }

  jump(percent) {
    this.seek((this.length * percent) / 100);
  }

  // To the next (1) or previous (-1) of the marks; a little slack, so that pressing again moves on.
  jumpTo(direction) {
    const here = 100 * this.share;
    const marks = direction > 0 ? MARKS : [...MARKS].reverse();
    const found = marks.find((mark) => direction * (mark - here) > (direction > 0 ? 0.5 : 3));
    if (found !== undefined) this.jump(found);
  }

  changeSpeed(step) {
    const index = SPEEDS.indexOf(this.settings.speed) + step;
    if (SPEEDS[index] !== undefined) this.set({ speed: SPEEDS[index] });
  }

  changeVolume(step) {
    this.set({ volume: Math.round(100 * Math.min(1, Math.max(0, this.settings.volume + step))) / 100 });
  }
}
