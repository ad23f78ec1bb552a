// The way in: the tracks that come next are leased, and their sound and peaks fetched, while the
// curator still listens to this one. A heartbeat keeps the leases.

import { Offline, get, post } from "./http.js";

const AHEAD = 2;
const RETRY_MS = 3000;

export async function fetchPeaks(url) {
  if (!url) return null;
  try {
    const answer = await fetch(url, { credentials: "same-origin" });
    return answer.ok ? new Int8Array(await answer.arrayBuffer()) : null;
  } catch {
    return null;
  }
}

export class Supply {
  #waiting = [];
  #seen = new Set();
  #asking = null;
  #isWanted = false;
  state = "ready"; // or none, offline, session, refused

  constructor({ api, here, heartbeatS, onState }) {
    Object.assign(this, { api, here, onState });
    setInterval(() => this.#beat(), heartbeatS * 1000);
  }

  // Make an item ready: the body from the API plus what is fetched ahead.
  prepare(body, { audio, context } = {}) {
    const item = { ...body, shownAt: null, answer: null };
    this.#seen.add(item.presentation);
    item.peaks = fetchPeaks(item.track.peaks_url);
    item.context = context
      ? Promise.resolve(context)
      : get(`${this.here}${item.presentation}/`).catch(() => ({ extra: {} }));
    item.audio = audio ?? this.#audioOf(item.track.audio_url);
    return item;
  }

  #audioOf(url) {
    const audio = new Audio();
    audio.preload = "auto";
    if (url) audio.src = url;
    return audio;
  }

  // A track that was on the desk and makes room: first in the line.
  putBack(item) {
    this.#waiting.unshift(this.again(item));
  }

  // An item with a fresh player: the old one gave its file back.
  again(item) {
    return { ...item, audio: this.#audioOf(item.track.audio_url) };
  }

  // After an undo of an answer of an earlier page: the track is open again, get it first.
  async bring(trackId) {
    const body = await post(`${this.api}queue/next/`, { ahead: AHEAD });
    const { ahead = [], ...first } = body ?? {};
    const found = [first, ...ahead].find((one) => one.track?.id === trackId);
    this.#waiting = this.#waiting.filter(({ track }) => track.id !== trackId);
    return found ? this.prepare(found) : null;
  }

  take() {
    return this.#waiting.shift() ?? null;
  }

  // Asked again when an answer has arrived: before that the server counts its track as open.
  get isLow() {
    return this.#waiting.length < AHEAD;
  }

  // Lease missing tracks; resolve when the result is known. If called while a request runs, ask
  // again after it: its result may be older than the answer that just arrived.
  refill() {
    this.#isWanted = true;
    this.#asking ??= this.#askWhileWanted().finally(() => { this.#asking = null; });
    return this.#asking;
  }

  async #askWhileWanted() {
    while (this.#isWanted) {
      this.#isWanted = false;
      await this.#ask();
    }
  }

  async #ask() {
    try {
      const body = await post(`${this.api}queue/next/`, { ahead: AHEAD });
      if (body === null) return this.#tell("none");
      const { ahead = [], ...first } = body;
      const fresh = [first, ...ahead].filter((one) => !this.#seen.has(one.presentation));
      this.#waiting.push(...fresh.map((one) => this.prepare(one)));
      return this.#tell("ready");
    } catch (error) {
      if (error instanceof Offline || error.isPassing) {
        if (!this.#waiting.length) setTimeout(() => this.refill(), RETRY_MS);
        return this.#tell("offline");
      }
      if (error.isSessionOver) return this.#tell("session");
      if (error.status === undefined) throw error;
      return this.#tell("refused", error.message);
    }
  }

  #tell(state, message) {
    this.state = state;
    this.onState(state, message);
  }

  #beat() {
    if (document.hidden && !this.#waiting.length) return;
    post(`${this.api}queue/heartbeat/`, {}).catch(() => { /* the next one may get through */ });
  }
}
