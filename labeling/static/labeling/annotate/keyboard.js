// One table of key -> action. The help dialog shows it, docs/keyboard.md describes it, and a
// test compares the two. Letters used here are reserved: no label gets them.

export const KEYS = [
  { key: "Enter", shown: "Enter", action: "save", help: "Save and go to the next track" },
  { key: "s", shown: "S", action: "skip", help: "Skip the track, with a reason" },
  { key: "u", shown: "U", action: "undo", help: "Undo the last answer or skip" },
  { key: "x", shown: "X", action: "complete", help: "Mark the facet complete / incomplete" },
  { key: "ArrowDown", shown: "↓", action: "nextFacet", help: "Go to the next facet" },
  { key: "ArrowUp", shown: "↑", action: "previousFacet", help: "Go to the previous facet" },
  { key: "Shift+ArrowDown", shown: "Shift ↓", action: "scrollDown", help: "Scroll down" },
  { key: "Shift+ArrowUp", shown: "Shift ↑", action: "scrollUp", help: "Scroll up" },
  { key: "/", shown: "/", action: "filter", help: "Find a label by one of its names" },
  { key: ",", shown: ",", action: "acknowledge", help: "Confirm that you have read the new guideline" },
  { key: "n", shown: "N", action: "note", help: "Write a note" },
  { key: " ", shown: "Space", action: "play", help: "Play or pause" },
  { key: "ArrowLeft", shown: "←", action: "back", help: "Go back 5 seconds" },
  { key: "ArrowRight", shown: "→", action: "forward", help: "Go forward 5 seconds" },
  { key: "Shift+ArrowLeft", shown: "Shift ←", action: "jumpBack", help: "Go back to 90, 75, 50, 25 or 10 %" },
  { key: "Shift+ArrowRight", shown: "Shift →", action: "jumpOn", help: "Go on to 10, 25, 50, 75 or 90 %" },
  { key: "Home", shown: "Home", action: "start", help: "Go to the start" },
  { key: "End", shown: "End", action: "middle", help: "Go to the middle 40 seconds" },
  { key: "l", shown: "L", action: "loop", help: "Repeat the middle 40 seconds" },
  { key: "PageUp", shown: "Page Up", action: "faster", help: "Play faster" },
  { key: "PageDown", shown: "Page Down", action: "slower", help: "Play slower" },
  { key: "+", shown: "+", action: "louder", help: "Turn the volume up" },
  { key: "-", shown: "-", action: "quieter", help: "Turn the volume down" },
  { key: "?", shown: "?", action: "help", help: "Show the keys" },
];

export const LABEL_KEYS = [
  { shown: "key", help: "Yes; press again to remove" },
  { shown: "Shift key", help: "Unsure; press again to remove" },
  { shown: "Alt key", help: "Explicit no; press again to remove" },
];

const PREFIX = ".";
const PREFIX_MS = 1500;

function isTyping(target) {
  if (target.closest("textarea, select, [contenteditable]")) return true;
  const input = target.closest("input");
  return input !== null && !["checkbox", "radio", "range", "button", "submit"].includes(input.type);
}

// With Shift or Alt the character depends on the layout; the position of the key does not.
function strokeOf(event) {
  const plain = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[a-z0-9]$/.test(plain)) return plain;
  const place = /^(?:Key|Digit|Numpad)([A-Z0-9])$/.exec(event.code);
  return place && (event.shiftKey || event.altKey) ? place[1].toLowerCase() : plain;
}

export class Keyboard {
  #actions;
  #onLabel;
  #prefixedAt = -Infinity;

  constructor({ actions, onLabel }) {
    this.#actions = actions;
    this.#onLabel = onLabel;
    document.addEventListener("keydown", (event) => this.#handle(event));
  }

  #handle(event) {
    if (event.defaultPrevented) return; // somebody has acted on it
    if (event.ctrlKey || event.metaKey || event.isComposing || event.key === "Tab") return;
    if (document.querySelector("dialog[open]") || isTyping(event.target)) return;
    if (this.#isForTheElement(event)) return;
    if (this.#act(event)) event.preventDefault();
  }

  // A focused button, menu or link keeps Enter and Space; a slider of the browser its arrows.
  #isForTheElement(event) {
    const element = event.target.closest("button, summary, a[href], input");
    if (!element) return false;
    if (element.matches("input[type=range]")) return event.key.startsWith("Arrow");
    if (element.matches("input")) return event.key === " ";
    return event.key === "Enter" || event.key === " ";
  }

  #act(event) {
    const stroke = strokeOf(event);
    const isSecond = event.timeStamp - this.#prefixedAt < PREFIX_MS;
    this.#prefixedAt = -Infinity;
    if (/^[a-z0-9]$/.test(stroke) && (isSecond || !this.#find(event))) {
      const value = event.altKey ? -1 : event.shiftKey ? 0 : 1;
      return this.#onLabel((isSecond ? PREFIX : "") + stroke, value);
    }
    if (event.key === PREFIX && !event.altKey) {
      this.#prefixedAt = event.timeStamp;
      return true;
    }
    const found = this.#find(event);
    if (!found || !this.#actions[found.action]) return false;
    if (!event.repeat || !["save", "skip", "undo", "help", "acknowledge"].includes(found.action)) {
      this.#actions[found.action]();
    }
    return true;
  }

  #find(event) {
    if (event.altKey) return undefined;
    const arrow = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : null;
    const letter = /^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : event.key;
    return KEYS.find(({ key }) => key === (arrow ?? letter));
  }
}
