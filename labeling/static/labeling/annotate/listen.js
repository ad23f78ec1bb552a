// The page of one track: the same player and keys as on the desk, without labels.

import { Keyboard } from "./keyboard.js";
import { Sound } from "./sound.js";
import { fetchPeaks } from "./supply.js";
import { withScripts } from "./view.js";

const track = JSON.parse(document.getElementById("sound-data").textContent);
const sound = new Sound();
withScripts();
new Keyboard({ actions: sound.actions, onLabel: () => false });
for (const button of document.querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => {
    sound.actions[button.dataset.action]?.();
    button.blur();
  });
}
sound.player.settings.autoplay = false;
sound.show({
  track,
  audio: document.getElementById("audio"),
  peaks: fetchPeaks(track.peaks_url),
});
// Start playing for anyone who followed a link to hear a track.
if (location.hash === "#play") sound.actions.play();
