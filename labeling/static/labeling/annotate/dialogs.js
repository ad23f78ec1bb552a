// The three dialogs: the keys, why a track is skipped, which of two answers holds.

import { KEYS, LABEL_KEYS } from "./keyboard.js";

const byId = (id) => document.getElementById(id);

function row(shown, help) {
  const line = document.createElement("div");
  const key = document.createElement("kbd");
  key.textContent = shown;
  const words = document.createElement("span");
  words.textContent = help;
  line.append(key, words);
  return line;
}

export function showHelp() {
  const rows = byId("help-rows");
  if (!rows.childElementCount) {
    rows.append(...LABEL_KEYS.map(({ shown, help }) => row(shown, help)));
    rows.append(...KEYS.map(({ shown, help }) => row(shown, help)));
  }
  byId("help-dialog").showModal();
}

// Show a dialog until one of its buttons or their number is chosen; null: none was.
function choose(dialog, buttons) {
  return new Promise((resolve) => {
    const end = new AbortController();
    const { signal } = end;
    const finish = (value) => {
      end.abort();
      clearTimeout(guard);
      dialog.close();
      resolve(value);
    };
    const isDisabled = () => buttons.some((button) => button.disabled);
    const enable = (isOpen) => buttons.forEach((button) => { button.disabled = !isOpen; });
    // A dialog that opens on its own must not take keys meant for the page.
    const guardMs = Number(dialog.dataset.guardMs ?? 0);
    const guard = setTimeout(() => enable(true), guardMs);
    enable(guardMs === 0);
    buttons.forEach((button) => {
      button.addEventListener("click", () => finish(button), { signal });
    });
    dialog.addEventListener("cancel", (event) => {
      if (isDisabled()) event.preventDefault();
    }, { signal });
    // The browser reports a closing a little later. By then the next dialog may be open,
    // and it must not take the end of the previous one for its own.
    dialog.addEventListener("close", () => { if (!dialog.open) finish(null); }, { signal });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        if (!isDisabled()) finish(null);
        return;
      }
      const button = buttons.find((one) => one.querySelector("kbd").textContent === event.key);
      if (!button || button.disabled || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      // The page must not see it: by then the dialog is closed, and it would tick a label.
      event.stopPropagation();
      finish(button);
    }, { signal });
    dialog.showModal();
  });
}

// Return the reason, or null when the track is not skipped after all.
export async function askReason() {
  const dialog = byId("skip-dialog");
  const button = await choose(dialog, [...dialog.querySelectorAll("[data-reason]")]);
  return button?.dataset.reason ?? null;
}

function inWords(answer) {
  const list = document.createElement("dl");
  list.className = "facts";
  for (const [word, shown] of [["labels", "Yes"], ["unsure", "Unsure"], ["negative", "No"]]) {
    const names = Object.values(answer[word] ?? {}).flat();
    if (!names.length) continue;
    const term = document.createElement("dt");
    term.textContent = shown;
    const said = document.createElement("dd");
    said.textContent = names.join(", ");
    list.append(term, said);
  }
  if (!list.childElementCount) list.textContent = "no label";
  return list;
}

// Return "yours" or "stored"; closing the dialog keeps what is stored, which loses nothing.
export async function askWhich({ name, yours, stored }) {
  const dialog = byId("conflict-dialog");
  byId("conflict-track").textContent = name;
  byId("conflict-yours").replaceChildren(inWords(yours));
  byId("conflict-stored").replaceChildren(inWords(stored));
  const button = await choose(dialog, [...dialog.querySelectorAll("[data-choice]")]);
  return button?.dataset.choice ?? "stored";
}
