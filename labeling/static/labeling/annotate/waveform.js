// The waveform on a canvas, from int8 peaks (lowest, highest of each column): nothing is decoded.

export class Waveform {
  #peaks = null;
  #share = 0;

  constructor({ canvas, note, onSeek }) {
    this.canvas = canvas;
    this.note = note;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      onSeek(this.#shareAt(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) onSeek(this.#shareAt(event));
    });
    new ResizeObserver(() => this.#resize()).observe(canvas);
    document.addEventListener("themechange", () => this.#draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  // `excerpt`: the shares between which the middle 40 s lie, drawn as a quiet band.
  show(peaks, { excerpt, message = "" }) {
    this.#peaks = peaks;
    this.excerpt = excerpt;
    this.note.textContent = message;
    this.note.hidden = message === "";
    this.progress(0);
  }

  progress(share, words = "") {
    this.#share = share;
    this.canvas.ariaValueNow = String(Math.round(100 * share));
    if (words) this.canvas.ariaValueText = words;
    this.#draw();
  }

  #shareAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(clientHeight * devicePixelRatio);
    this.#draw();
  }

  #draw() {
    const { width, height } = this.canvas;
    if (!width || !height) return;
    const colours = getComputedStyle(this.canvas);
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    if (this.excerpt) {
      pen.fillStyle = colours.getPropertyValue("--sunken");
      const [from, to] = this.excerpt;
      pen.fillRect(from * width, 0, (to - from) * width, height);
    }
    if (this.#peaks) this.#bars(pen, width, height, colours);
    else this.#line(pen, width, height, colours);
    pen.fillStyle = colours.getPropertyValue("--text");
    pen.fillRect(Math.min(width - 2, this.#share * width), 0, Math.max(1, devicePixelRatio), height);
  }

  #bars(pen, width, height, colours) {
    const columns = this.#peaks.length / 2;
    const loudest = Math.max(24, this.#peaks.reduce((most, one) => Math.max(most, Math.abs(one)), 0));
    const scale = (height / 2 - 2) / loudest;
    const played = colours.getPropertyValue("--accent");
    const ahead = colours.getPropertyValue("--wave");
    const step = Math.max(1, Math.round(2 * devicePixelRatio));
    for (let x = 0; x < width; x += step) {
      const first = Math.floor((x / width) * columns);
      const last = Math.max(first + 1, Math.floor(((x + step) / width) * columns));
      let low = 0, high = 0;
      for (let i = first; i < last && i < columns; i += 1) {
        low = Math.min(low, this.#peaks[2 * i]);
        high = Math.max(high, this.#peaks[2 * i + 1]);
      }
      pen.fillStyle = x / width < this.#share ? played : ahead;
      const top = height / 2 - high * scale;
      pen.fillRect(x, top, Math.max(1, step - 1), Math.max(1, (high - low) * scale));
    }
  }

  #line(pen, width, height, colours) {
    pen.fillStyle = colours.getPropertyValue("--wave");
    pen.fillRect(0, height / 2, width, 1);
    pen.fillStyle = colours.getPropertyValue("--accent");
    pen.fillRect(0, height / 2 - 1, this.#share * width, 3);
  }
}
