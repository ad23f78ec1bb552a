// Ties the player to its buttons, the waveform and the settings of the page.

import { Player, clock } from "./player.js";
import { Waveform } from "./waveform.js";
import { showAlert } from "./view.js";

const byId = (id) => document.getElementById(id);

export class Sound {
  constructor() {
    this.player = new Player({
      audio: byId("audio"),
      onTime: () => this.#time(),
      onState: () => this.#state(),
      onError: () => this.#broken(),
    });
    this.wave = new Waveform({
      canvas: byId("wave"),
      note: byId("wave-note"),
      onSeek: (share) => this.player.seek(share * this.player.length),
    });
    this.actions = {
      play: () => this.player.toggle(),
      back: () => this.player.move(-5),
      forward: () => this.player.move(5),
      jumpBack: () => this.player.jumpTo(-1),
      jumpOn: () => this.player.jumpTo(1),
      start: () => this.player.seek(0),
      middle: () => this.player.seek(this.player.excerpt[0]),
      loop: () => this.#loop(),
      faster: () => this.player.changeSpeed(1),
      slower: () => this.player.changeSpeed(-1),
      louder: () => this.player.changeVolume(0.1),
      quieter: () => this.player.changeVolume(-0.1),
    };
    this.#settings();
  }

  #settings() {
    for (const button of document.querySelectorAll("[data-jump]")) {
      button.addEventListener("click", () => this.player.jump(Number(button.dataset.jump)));
    }
    const on = (id, read) => {
      const field = byId(id);
      field.addEventListener("input", () => this.player.set(read(field)));
      field.addEventListener("change", () => field.matches("select") && field.blur());
    };
    on("speed", ({ value }) => ({ speed: Number(value) }));
    on("volume", ({ value }) => ({ volume: Number(value) / 100 }));
    on("autoplay", ({ checked }) => ({ autoplay: checked }));
    on("middle", ({ checked }) => ({ middle: checked }));
    // What was clicked gives the focus back, so that Space plays; what was tabbed to keeps it.
    document.addEventListener("pointerup", () => setTimeout(() => {
      const focused = document.activeElement;
      if (focused?.matches(".facet input, .transport input")) focused.blur();
    }));
  }

  #loop() {
    const loop = !this.player.settings.loop;
    this.player.set({ loop });
    const [from, to] = this.player.excerpt;
    const here = this.player.audio.currentTime;
    if (loop && (here < from || here >= to)) this.player.seek(from);
  }

  async show(item) {
    this.item = item;
    this.wave.show(null, { excerpt: null, message: item.track.audio_url ? "" : "No audio for this track" });
    this.player.load(item.audio, { lengthS: item.track.duration_s });
    const peaks = await item.peaks;
    if (this.item !== item || !item.track.audio_url || item.audio.error) return;
    this.wave.show(peaks, { excerpt: this.#band(), message: peaks ? "" : "No waveform yet" });
    this.#time();
  }

  #band() {
    const { excerpt, length } = this.player;
    return length > excerpt[1] - excerpt[0] ? excerpt.map((second) => second / length) : null;
  }

  #time() {
    const { audio, length, share } = this.player;
    byId("time").textContent = clock(audio.currentTime);
    this.wave.progress(share, `${clock(audio.currentTime)} of ${clock(length)}`);
  }

  #state() {
    const { audio, length, settings, hasSound } = this.player;
    const play = document.querySelector(".transport .play");
    play.dataset.playing = String(!audio.paused);
    play.disabled = !hasSound;
    byId("length").textContent = clock(length || NaN);
    byId("speed").value = String(settings.speed);
    byId("volume").value = String(Math.round(100 * settings.volume));
    byId("autoplay").checked = settings.autoplay;
    byId("middle").checked = settings.middle;
    document.querySelector("[data-action=loop]").ariaPressed = String(settings.loop);
  }

  #broken() {
    this.#state();
    if (!this.item?.track.audio_url) return;
    this.wave.show(null, { excerpt: null, message: "The audio cannot be played" });
    showAlert("The audio of this track cannot be played here. Skip the track with that reason, or label it by the facts about it.");
  }
}
