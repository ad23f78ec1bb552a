// What is ticked and half written on a track outlives a reload: kept per presentation until sent.

const PREFIX = "audiotag/draft/";
const KEPT_MS = 7 * 24 * 3600 * 1000;

export class Drafts {
  constructor(prefix) {
    this.prefix = `${PREFIX}${prefix}/`;
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(PREFIX) && !(this.#read(key)?.at > Date.now() - KEPT_MS)) {
        localStorage.removeItem(key);
      }
    }
  }

  #read(key) {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch {
      return null;
    }
  }

  of(presentation) {
    return this.#read(this.prefix + presentation)?.answer ?? null;
  }

  keep(presentation, answer) {
    const isEmpty = !answer.note && !answer.completed_facets.length
      && ["labels", "unsure", "negative"].every((word) => !Object.keys(answer[word]).length);
    if (isEmpty) return this.drop(presentation);
    localStorage.setItem(this.prefix + presentation, JSON.stringify({ at: Date.now(), answer }));
  }

  drop(presentation) {
    localStorage.removeItem(this.prefix + presentation);
  }
}
