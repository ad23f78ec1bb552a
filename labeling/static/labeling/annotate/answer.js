// An answer in the shapes in which it leaves: for the server, and for the list of last answers.

import { randomKey } from "./http.js";
import { nameOf } from "./view.js";

export function bodyOf(item, answer, decisionTimeS) {
  return {
    ...answer,
    track: item.track.id,
    presentation: item.presentation,
    answered_at: new Date().toISOString(),
    idempotency_key: randomKey(),
    // No answer since the track was served; otherwise the server reports a conflict.
    expected_version: 0,
    decision_time_s: decisionTimeS,
  };
}

// In one line, as the server's said_in_words: "Drone, Calm ?, not Rock".
export function inWords(answer) {
  const { labels = {}, unsure = {}, negative = {}, completed_facets: completed } = answer;
  const names = (said) => Object.values(said).flat();
  const none = (completed ?? []).filter((facet) => ![labels, unsure, negative].some((said) => facet in said));
  return [
    ...names(labels),
    ...names(unsure).map((name) => `${name} ?`),
    ...names(negative).map((name) => `not ${name}`),
    ...(none.length ? [`none of these: ${none.join(", ")}`] : []),
  ].join(", ");
}

export function refusedRow({ key, name, body, refused }) {
  return {
    key,
    name,
    answer: body,
    track_id: body.track,
    said: "",
    problem: `not saved: ${refused}`,
  };
}

export function rowOf(key, item, answer) {
  return {
    key,
    item: { ...item, answer },
    name: nameOf(item.track),
    said: inWords(answer),
  };
}

export function skipOf(key, item, reason) {
  return { key, item, name: nameOf(item.track), isSkipped: true, reason };
}
