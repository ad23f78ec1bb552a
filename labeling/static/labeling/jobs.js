// Keeps the Jobs page fresh: often while something is open, seldom otherwise.

const OPEN_MS = 1500;
const IDLE_MS = 10000;
const place = document.getElementById("jobs");

function pause() {
  const table = place.querySelector("table");
  return table && table.dataset.hasOpen === "yes" ? OPEN_MS : IDLE_MS;
}

// The row (and so the button) that the keyboard is on, to be found again in the fresh rows.
function focusedJob() {
  const row = place.contains(document.activeElement) && document.activeElement.closest("[data-job]");
  return row ? row.dataset.job : "";
}

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(place.dataset.rows, { credentials: "same-origin", redirect: "error" });
      if (answer.ok) {
        const fresh = await answer.text();
        const job = focusedJob();
        place.innerHTML = fresh;
        if (job) place.querySelector(`[data-job="${job}"] button`)?.focus();
      }
    } catch {
      // The next round tries again; the rows on screen stay.
    }
  }
  setTimeout(refresh, pause());
}

setTimeout(refresh, pause());
