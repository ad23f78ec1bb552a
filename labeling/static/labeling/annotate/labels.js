// All facets of the page: which one has the keys, the labels given, and the label filter.

import { Facet, WORDS } from "./facet.js";

function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

export class Labels {
  constructor(root, facts, onChange = () => {}) {
    this.facets = [...root.querySelectorAll(".facet")].map((element) => {
      const its = facts.find(({ id }) => String(id) === element.dataset.facet);
      return new Facet(element, its, onChange);
    });
    this.#mark(0);
    root.addEventListener("focusin", (event) => {
      const index = this.facets.findIndex(({ element }) => element.contains(event.target));
      // The browser has brought it into sight: scrolling here would move what is being clicked.
      if (index >= 0) this.#mark(index);
    });
  }

  get active() {
    return this.facets[this.index];
  }

  activate(index) {
    this.#mark(index);
    // With the first one the player comes back into sight.
    if (this.index === 0) window.scrollTo({ top: 0 });
    else this.active?.element.scrollIntoView({ block: "nearest" });
  }

  #mark(index) {
    this.index = (index + this.facets.length) % this.facets.length;
    this.facets.forEach(({ element }, i) => element.classList.toggle("active", i === this.index));
  }

  // Down (1) or up (-1) in a long facet, else in the page.
  #scroll(direction) {
    const box = this.active.element.querySelector(".labels");
    const rest = direction > 0 ? box.scrollHeight - box.clientHeight - box.scrollTop : box.scrollTop;
    const scrolled = rest > 1 ? box : document.scrollingElement;
    scrolled.scrollBy({ top: 0.7 * direction * scrolled.clientHeight });
  }

  get actions() {
    return {
      complete: () => this.active.toggleComplete(),
      nextFacet: () => this.activate(this.index + 1),
      previousFacet: () => this.activate(this.index - 1),
      scrollDown: () => this.#scroll(1),
      scrollUp: () => this.#scroll(-1),
    };
  }

  press(key, value) {
    const label = this.active.labels.find((one) => one.dataset.key === key);
    if (label) {
      this.active.toggle(label, value);
      label.scrollIntoView({ block: "nearest" });
    }
    return Boolean(label);
  }

  set(answer, suggestions) {
    for (const facet of this.facets) {
      facet.set(answer);
      facet.suggest(suggestions);
    }
    this.activate(0);
  }

  get problem() {
    const problem = this.facets.map((facet) => facet.problem).find(Boolean);
    if (problem) return problem;
    const isSaid = this.facets.some((facet) => facet.values.size || facet.isComplete);
    return isSaid ? "" : "Choose a label, or press X if none applies, or S to skip.";
  }

  answer() {
    const said = { labels: {}, unsure: {}, negative: {}, completed_facets: [] };
    for (const facet of this.facets) {
      for (const [value, word] of Object.entries(WORDS)) {
        const names = facet.names(Number(value));
        if (names.length) said[word][facet.name] = names;
      }
      if (facet.isComplete) said.completed_facets.push(facet.name);
    }
    return said;
  }

  // Show only labels one of whose names contains the text; return the best match.
  filter(text) {
    const wanted = fold(text.trim());
    let best = null;
    for (const facet of this.facets) {
      for (const label of facet.labels) {
        const names = label.dataset.find.split("|").map(fold);
        const isFound = names.some((name) => name.includes(wanted));
        label.classList.toggle("filtered", !isFound);
        const starts = names.findIndex((name) => name.startsWith(wanted));
        const rank = starts === 0 ? 0 : starts > 0 ? 1 : 2;
        if (wanted && isFound && (!best || rank < best.rank)) best = { facet, label, rank };
      }
    }
    for (const old of document.querySelectorAll(".label.best")) old.classList.remove("best");
    best?.label.classList.add("best");
    best?.label.scrollIntoView({ block: "nearest" });
    return best;
  }
}
