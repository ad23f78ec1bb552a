// Updates the Models page while a training runs, and reloads it when the training ends.
const place = document.getElementById("now");
const PAUSE_MS = 1000;
const IDLE_MS = 5000;

function isRunning() {
  return place.querySelector("[data-running]")?.dataset.running === "yes";
}

async function look() {
  const wasRunning = isRunning();
  if (document.hidden) {
    setTimeout(look, PAUSE_MS);
    return;
  }
  try {
    const answer = await fetch(place.dataset.now, { headers: { "X-Requested-With": "fetch" } });
    if (answer.ok && !answer.redirected) {
      place.innerHTML = await answer.text();
      if (wasRunning !== isRunning()) {
        location.reload();
        return;
      }
    }
  } catch {
    // Offline for a moment: what is shown stays, and is looked at again.
  }
  setTimeout(look, isRunning() ? PAUSE_MS : IDLE_MS);
}

if (place) setTimeout(look, isRunning() ? PAUSE_MS : IDLE_MS);
