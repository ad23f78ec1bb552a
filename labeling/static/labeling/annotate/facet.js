// One facet: its label buttons with three states (yes, unsure, an explicit no) and off.

const STATES = { 1: "yes", 0: "unsure", "-1": "no" };
export const WORDS = { 1: "labels", 0: "unsure", "-1": "negative" };

export class Facet {
  constructor(element, facts, onChange) {
    Object.assign(this, { element, name: facts.name, min: facts.min, max: facts.max, onChange });
    this.labels = [...element.querySelectorAll(".label")];
    this.complete = element.querySelector("input[name=complete]");
    this.values = new Map();
    this.isCompleteByHand = null;
    for (const label of this.labels) {
      const box = label.querySelector("input");
      box.addEventListener("change", () => this.toggle(label, 1));
      label.addEventListener("click", (event) => {
        if (!event.shiftKey && !event.altKey) return;
        event.preventDefault();
        this.toggle(label, event.altKey ? -1 : 0);
      });
    }
    this.complete.addEventListener("change", () => {
      this.isCompleteByHand = this.complete.checked;
      this.#show();
    });
  }

  toggle(label, value) {
    const { name } = label.dataset;
    if (this.values.get(name) === value) this.values.delete(name);
    else this.values.set(name, value);
    this.#show();
  }

  toggleComplete() {
    this.isCompleteByHand = !this.isComplete;
    this.#show();
  }

  names(value) {
    return [...this.values].filter(([, said]) => said === value).map(([name]) => name);
  }

  get isComplete() {
    return this.isCompleteByHand ?? [...this.values.values()].some((value) => value >= 0);
  }

  get problem() {
    const n = this.names(1).length;
    if (this.max && n > this.max) {
      return `${this.name}: at most ${this.max}, you chose ${n}. Remove ${n - this.max}.`;
    }
    if (this.isComplete && n > 0 && n < this.min) {
      return `${this.name}: at least ${this.min}, you chose ${n}.`;
    }
    return "";
  }

  set(answer) {
    this.values.clear();
    for (const [value, word] of Object.entries(WORDS)) {
      for (const name of answer?.[word]?.[this.name] ?? []) {
        // A label that went out of use since cannot be said again.
        if (this.#offers(name)) this.values.set(name, Number(value));
      }
    }
    const isComplete = answer?.completed_facets?.includes(this.name) ?? false;
    this.isCompleteByHand = answer && isComplete !== this.isComplete ? isComplete : null;
    this.#show();
  }

  #offers(name) {
    return this.labels.some((label) => label.dataset.name === name);
  }

  suggest(suggestions) {
    const shares = new Map();
    for (const { facet, label, probability } of suggestions) {
      if (facet === this.name) shares.set(label, `${Math.round(100 * probability)} %`);
    }
    for (const label of this.labels) {
      const share = shares.get(label.dataset.name);
      label.querySelector("[data-share]").textContent = share ?? "";
      label.classList.toggle("suggested", share !== undefined);
    }
  }

  #show() {
    for (const label of this.labels) {
      const value = this.values.get(label.dataset.name);
      const box = label.querySelector("input");
      label.dataset.state = value === undefined ? "" : STATES[value];
      box.checked = value === 1;
      box.indeterminate = value === 0;
      box.ariaDescription = { "-1": "explicitly no", 0: "unsure" }[value] ?? "";
    }
    const n = this.names(1).length;
    this.complete.checked = this.isComplete;
    this.element.dataset.complete = this.isComplete;
    this.element.dataset.problem = this.problem !== "";
    const count = `${n} chosen`;
    this.element.querySelector("[data-count]").textContent = n ? count : "";
    this.element.querySelector("[data-complete-text]").textContent = this.values.size
      ? "Complete: no other label applies"
      : "Complete: none of these applies";
    this.onChange();
  }
}
