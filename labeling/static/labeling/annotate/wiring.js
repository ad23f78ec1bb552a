// Buttons, the filter and the note: what a pointer or a field asks for goes to the same actions
// as the keys.

export function wire({ actions, labels, note, filter }) {
  for (const button of document.querySelectorAll("[data-action]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      actions[button.dataset.action]();
      button.blur(); // so that Space and Enter act on the track again
    });
  }
  document.getElementById("desk").addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", () => labels.filter(filter.value));
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    const best = event.key === "Enter" ? labels.filter(filter.value) : null;
    best?.facet.toggle(best.label, event.shiftKey ? 0 : event.altKey ? -1 : 1);
    filter.value = "";
    labels.filter("");
    if (!best || !event.repeat) filter.blur();
  });
  note.addEventListener("keydown", (event) => event.key === "Escape" && note.blur());
}
