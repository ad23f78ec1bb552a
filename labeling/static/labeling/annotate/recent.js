// The last answers, the newest first, each with its undo.

const MOST = 8;

function clipped(text, className) {
  const span = document.createElement("span");
  span.className = className;
  const isolated = document.createElement("bdi");
  isolated.textContent = text;
  span.append(isolated);
  return span;
}

function button(text, onClick) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "button tight quiet";
  made.textContent = text;
  made.addEventListener("click", onClick);
  return made;
}

export class Recent {
  // rows: {key, isSent, uid, name, said, answer?, item?, track_id?, isSkipped?}; onUndo(row),
  // onDiscard(row): what was refused is given up
  constructor({ list, none, rows, onUndo, onDiscard }) {
    Object.assign(this, { list, none, rows: [...rows], onUndo, onDiscard });
    this.show();
  }

  add(row) {
    this.rows.unshift(row);
    // What was refused stays until somebody has dealt with it.
    this.rows = this.rows.filter((one, index) => index < MOST || one.problem);
    this.show();
  }

  remove(row) {
    this.rows = this.rows.filter((one) => one !== row);
    this.show();
  }

  find(key) {
    return this.rows.find((row) => row.key === key);
  }

  get last() {
    return this.rows[0];
  }

  show() {
    this.list.replaceChildren(...this.rows.map((row) => this.#line(row)));
    this.none.hidden = this.rows.length > 0;
  }

  #line(row) {
    const line = document.createElement("li");
    const said = row.problem ?? (row.isSkipped ? `skipped: ${row.reason}` : row.said);
    line.append(clipped(row.name, "clip"), clipped(said || "no label", "clip small muted"));
    line.title = `${row.name}: ${said || "no label"}`;
    line.classList.toggle("refused", Boolean(row.problem));
    const buttons = document.createElement("span");
    buttons.className = "row-actions";
    buttons.append(button(row.problem ? "Open" : "Undo", () => this.onUndo(row)));
    if (row.problem) buttons.append(button("Discard", () => this.onDiscard(row)));
    line.append(buttons);
    return line;
  }
}
