// What is written into the page around the labels: the track, its facts, messages.

// What is of no use while no track is on the desk.
const OF_A_TRACK = ".track-head, #facets, .side-context, .side-note, .actions .filter, "
  + ".actions [data-action=save], .actions [data-action=skip]";
const KEPT = "Your answers are kept in this browser until the server has stored them.";
const COMING = {
  ready: ["The next track is on its way", KEPT],
  offline: ["No connection to the server", `${KEPT} This page continues automatically when the connection is back.`],
  session: ["Your session has ended", `${KEPT} Log in again in another window, then come back to this one.`],
  refused: ["The server refused to serve a track", KEPT],
};
const byId = (id) => document.getElementById(id);

export function nameOf(track) {
  return track.title || track.key;
}

function isolated(id, text) {
  const inside = document.createElement("bdi");
  inside.textContent = text;
  byId(id).replaceChildren(inside);
  byId(id).title = text;
}

export function showTrack(item) {
  const { track } = item;
  isolated("track-name", nameOf(track));
  isolated("track-sub", [track.artist, track.album].filter(Boolean).join(" · "));
  byId("why-text").textContent = item.reason;
  showFacts(track, {});
}

export function showFacts(track, extra) {
  const rows = [["File", track.key], ["Composer", track.composer], ...Object.entries(extra)];
  const parts = rows.filter(([, value]) => value).flatMap(([name, value], index) => {
    const term = document.createElement("dt");
    const said = document.createElement("dd");
    const words = document.createElement("bdi");
    term.textContent = name;
    words.textContent = value;
    said.append(words);
    if (index === 0) said.className = "mono";
    return [term, said];
  });
  byId("facts").replaceChildren(...parts);
}

// state: a track is on the desk; or "none": the server has nothing; or else the next is on its way.
export function showDesk(state) {
  for (const part of document.querySelectorAll(OF_A_TRACK)) part.hidden = state !== "track";
  byId("empty").hidden = state !== "none";
  byId("coming").hidden = state === "track" || state === "none";
  const [headline, words] = COMING[state] ?? COMING.ready;
  byId("coming-headline").textContent = headline;
  byId("coming-words").textContent = words;
}

let standing = ["", null];

// A message that stays, whatever else is shown, until it is cleared with "".
export function showStanding(text, link = null) {
  if (text === standing[0]) return;
  standing = [text, link];
  showAlert("");
}

// link: {href, text} opens in another window, so that nothing on this page is lost.
export function showAlert(text, link = null) {
  if (text === "") [text, link] = standing;
  const box = byId("alert");
  box.hidden = text === "";
  box.replaceChildren(text);
  if (!link) return;
  const anchor = document.createElement("a");
  Object.assign(anchor, { href: link.href, textContent: link.text, target: "_blank" });
  box.append(" ", anchor);
}

// With commas between thousands, as the server writes counts.
export function showCount(id, n) {
  byId(`figure-${id}`).textContent = n.toLocaleString("en");
}

export function count(id, change) {
  const shown = Number(byId(`figure-${id}`).textContent.replaceAll(",", ""));
  showCount(id, Math.max(0, shown + change));
}

export function withScripts() {
  for (const part of document.querySelectorAll("[data-needs-script]")) part.hidden = false;
  for (const part of document.querySelectorAll("[data-no-script]")) part.hidden = true;
  byId("audio").controls = false;
  byId("audio").hidden = true;
}
