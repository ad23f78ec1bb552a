// The desk: shows a track, takes the answer, sends it and shows the next track immediately.

import { bodyOf, refusedRow, rowOf, skipOf } from "./answer.js";
import { askReason, askWhich, showHelp } from "./dialogs.js";
import { Drafts } from "./drafts.js";
import { post, randomKey } from "./http.js";
import { Keyboard } from "./keyboard.js";
import { Labels } from "./labels.js";
import { News } from "./news.js";
import { Recent } from "./recent.js";
import { Sound } from "./sound.js";
import { Outbox } from "./submit.js";
import { Supply } from "./supply.js";
import { showState } from "./states.js";
import { Stopwatch } from "./stopwatch.js";
import { wire } from "./wiring.js";
import { count, nameOf, showAlert, showDesk, showFacts, showStanding, showTrack, withScripts } from "./view.js";

const byId = (id) => document.getElementById(id);
const desk = JSON.parse(byId("desk-data").textContent);
const note = byId("note");
const filter = byId("filter");
let item = null;

withScripts();
const stopwatch = new Stopwatch();
const sound = new Sound();
const prefix = `${desk.user}/${desk.slug}`;
const drafts = new Drafts(prefix);
const labels = new Labels(byId("facets"), desk.facets, changed);
const supply = new Supply({ ...desk, heartbeatS: desk.heartbeat_s, onState: supplied });
const outbox = new Outbox({ prefix, onSent, onRefused, onConflict, onState: tell });
const recent = new Recent({
  list: byId("recent"),
  none: byId("recent-none"),
  rows: [
    ...outbox.refused().map(refusedRow),
    ...desk.recent.map((row) => ({ ...row, isSent: true })),
  ],
  onUndo: undo,
  onDiscard: (row) => {
    outbox.remove(row.key);
    recent.remove(row);
    showAlert("");
  },
});
const news = new News({ here: desk.here, isSettled: () => !outbox.entries().length });
let isShowing = false;

function said() {
  return { ...labels.answer(), note: note.value };
}

function changed() {
  if (item === null || isShowing) return;
  showAlert("");
  drafts.keep(item.presentation, said());
}

function tell(state, waiting = outbox.entries().length) {
  showState(state, waiting, desk.login);
}

function show(next) {
  item = next;
  showDesk(item !== null ? "track" : supply.state);
  showAlert("");
  if (item === null) return sound.player.audio.pause();
  showTrack(item);
  const shown = item;
  item.context.then(({ extra }) => item === shown && showFacts(shown.track, extra));
  const known = item.answer ?? drafts.of(item.presentation);
  isShowing = true;
  labels.set(known, item.suggestions);
  note.value = known?.note ?? "";
  isShowing = false;
  document.querySelector("#desk [name=presentation]").value = item.presentation;
  sound.show(item);
  stopwatch.start();
}

function supplied(state, message = "") {
  if (item === null) show(supply.take());
  if (state === "ready" || state === "none") showStanding("");
  if (state === "refused") showAlert(message);
  else if (state !== "ready" && state !== "none") tell(state);
}

function goOn() {
  show(supply.take());
  if (item === null) supply.refill();
}

function save() {
  if (item === null) return;
  const problem = labels.problem;
  if (problem) return showAlert(problem);
  const answer = said();
  const body = bodyOf(item, answer, stopwatch.seconds);
  const key = body.idempotency_key;
  recent.add(rowOf(key, item, answer));
  count("session", 1);
  count("today", 1);
  drafts.drop(item.presentation);
  outbox.add({ key, url: `${desk.api}annotations/`, body, name: nameOf(item.track) });
  goOn();
}

async function skip() {
  if (item === null) return;
  const skipped = item;
  const reason = await askReason();
  if (reason === null || item !== skipped) return;
  const key = randomKey();
  const body = { presentation: item.presentation, reason };
  recent.add(skipOf(key, { ...item, answer: said() }, reason));
  drafts.drop(item.presentation);
  outbox.add({ key, url: `${desk.api}queue/skip/`, body, name: nameOf(item.track) });
  goOn();
}

async function undo(row = recent.last) {
  if (!row) return showAlert("There is nothing to undo.");
  try {
    await outbox.settled(row.key);
    if (row.isSent && !row.problem) await takeBack(row);
    const back = row.item ?? (await broughtBack(row));
    if (row.problem && !back) throw new Error("this track is not on your desk any more");
    outbox.remove(row.key ?? "");
    if (item && item.track.id !== back?.track.id) supply.putBack({ ...item, answer: said() });
    recent.remove(row);
    if (!row.isSkipped && !row.problem) {
      if (row.key) count("session", -1);
      count("today", -1);
    }
    if (back) show(supply.again(back));
    else goOn();
    news.askSoon();
  } catch (error) {
    showAlert(`Not undone: ${error.message}`);
  }
}

// An answer from an earlier page: fetches its track and restores its labels.
async function broughtBack(row) {
  const back = await supply.bring(row.track_id);
  return back && { ...back, answer: row.answer ?? null };
}

function takeBack(row) {
  return row.isSkipped
    ? post(`${desk.api}queue/skip/undo/`, { presentation: row.item.presentation })
    : post(`${desk.api}annotations/${row.uid}/undo/`, {});
}

function onSent(entry, body) {
  const row = recent.find(entry.key);
  if (row) Object.assign(row, { isSent: true, uid: body?.annotation });
  news.askSoon();
  if (supply.isLow) supply.refill();
}

function onRefused(entry, error) {
  const row = recent.find(entry.key);
  if (row) Object.assign(row, { problem: `not saved: ${error.message}` });
  if (row && !row.isSkipped) for (const figure of ["session", "today"]) count(figure, -1);
  recent.show();
  showAlert(`${entry.name} was not saved: ${error.message}`);
}

async function onConflict(entry, { yours, stored, version }) {
  const choice = await askWhich({ name: entry.name, yours, stored });
  outbox.remove(entry.key);
  if (choice === "yours") {
    outbox.put({ ...entry, body: { ...entry.body, expected_version: version } });
  } else {
    recent.remove(recent.find(entry.key));
  }
  return true;
}

const actions = {
  ...sound.actions,
  save,
  skip,
  undo: () => undo(),
  ...labels.actions,
  filter: () => filter.focus(),
  note: () => note.focus(),
  help: showHelp,
  acknowledge: () => news.acknowledge().catch((error) => showAlert(error.message)),
  reload: () => location.reload(),
};
new Keyboard({ actions, onLabel: (key, value) => labels.press(key, value) });

wire({ actions, labels, note, filter });
note.addEventListener("input", changed);
function lookAgain() {
  outbox.send();
  if (item === null || supply.state === "session") supply.refill();
}
window.addEventListener("focus", lookAgain);
window.addEventListener("storage", ({ key }) => key === "audiotag/back" && lookAgain());

show(supply.prepare(desk.item, { audio: byId("audio"), context: desk.context }));
outbox.send();
supply.refill();
document.documentElement.dataset.ready = "true";
