/**
 * Mattes and reframed videos in words: the forms that they are made in, and what was wished (docs/mattes.md, docs/reframe.md).
 *
 * What belongs here: those words. What does not: choosing (`matte.js`, `reframe.js`), how far one is (`editing.js`).
 *
 * @typedef {import("./shapes").Results} Results
 * @typedef {{ form: string, name: string, says: string }} Form
 */
import { counted, number } from "../format.js";
import { listed } from "./exports.js";

/** @type {Form[]} */
export const MATTES = [
  { form: "prores", name: "ProRes 4444", says: "A film with alpha, for editing programs" },
  { form: "webm", name: "VP9 WebM", says: "A film with alpha, for the web" },
  { form: "luma", name: "Grey film", says: "ProRes without alpha: white is inside" },
  { form: "png", name: "PNG", says: "A picture for each frame, in a zip" },
];

/** @type {Form[]} */
export const REFRAMES = [
  { form: "mp4", name: "MP4", says: "The film itself, with its sound" },
  { form: "json", name: "JSON", says: "Where the window is. It can be shown over the film here" },
  { form: "otio", name: "OpenTimelineIO", says: "The same as a timeline" },
  { form: "sendcmd", name: "FFmpeg", says: "The same as commands for FFmpeg's crop" },
  { form: "ae", name: "After Effects", says: "The same as keyframes to paste" },
];

/**
 * What was wished: a title, and the rest.
 * @param {import("./shapes").Deliverable} one
 * @param {Results} results that are shown
 * @returns {[string, string]}
 */
export function wordsOf(one, results) {
  const known = one.result_id === results.video.result_id ? results.tracks : [];
  const tracks = listed((one.wish.tracks ?? []).map((id) => known.find((track) => track.track_id === id) ?? { track_id: id, label: "" }));
  const { scene, form: written } = one.wish;
  const only = scene && `only scene ${number(scene)}`;
  const formOf = (/** @type {Form[]} */ forms) => (forms.find((each) => each.form === written) ?? forms[0]).name;
  if (one.kind === "matte") {
    const { elements = [], cutout, soften } = one.wish;
    const named = [tracks, ...elements.map(elementOf)].filter(Boolean).join(", ");
    const of = named || `all tracks of scene ${scene}`;
    return [`${cutout ? "Cutout" : "Matte"} of ${of}`, said(formOf(MATTES), named && only, soften && `edges over ${counted(soften, "pixel")}`)];
  }
  const { ratio, label, letterbox } = one.wish;
  const follows = `follows ${[tracks, label].filter(Boolean).join(", ") || "everything that was found"}`;
  return [`Reframed to ${ratio}`, said(formOf(REFRAMES), only || "whole film", follows, letterbox && "bars where it does not fit")];
}

/** @param {string} name such as 2.1 */
function elementOf(name) {
  const [scene, place] = name.split(".");
  return `element ${place} of scene ${scene}`;
}

/** @param {(string | number | false | undefined)[]} parts */
const said = (...parts) => parts.filter(Boolean).join(", ");
