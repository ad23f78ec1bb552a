// What the page says about the connection, in words. `waiting`: answers not yet acknowledged.

import { showStanding } from "./view.js";

function answers(n) {
  return n === 1 ? "1 answer waits" : `${n} answers wait`;
}

const STATES = {
  saved: () => ({ status: "All saved" }),
  sending: (waiting) => ({ status: waiting > 1 ? `Saving ${waiting}` : "Saving" }),
  offline: (waiting) => ({
    status: waiting ? `No connection: ${answers(waiting)} in this browser` : "No connection",
  }),
  trouble: (waiting) => ({ status: `The server has a problem: ${answers(waiting)} in this browser` }),
  session: (waiting) => ({
    status: waiting ? `Logged out: ${answers(waiting)} in this browser` : "Logged out",
    alert: "Your session has ended. Nothing is lost:",
    link: "log in again in another window, then come back to this one.",
  }),
};

export function showState(state, waiting, login) {
  const { status, alert, link } = STATES[state](waiting);
  document.getElementById("status").textContent = status;
  if (alert) showStanding(alert, { href: login, text: link });
  else if (state === "saved") showStanding("");
}
