/**
 * What of a video is exported: the whole film, the track that is selected, or the elements that are ticked.
 *
 * What belongs here: that choice. What does not: formats and the download (`../exporting.js`).
 *
 * @typedef {"film" | "track" | "ticked"} Part
 * @typedef {(part: Part) => void} ToExport opens the window, with this part chosen
 */
import { Exporting } from "../exporting.js";
import { counted, number } from "../format.js";
import { html } from "../html.js";
import { useStore } from "../store.js";

const NAMED = 5; // tracks that are named; of the others it is said how many they are

/** @param {{ room: import("./room.js").Room, part: Part, close: () => void }} props */
export function Export({ room, part, close }) {
  const { results, times } = room;
  const track = useStore(room.selection.view, (view) => view.track);
  const ticked = useStore(room.selection.view, (view) => view.ticked);
  const of = (/** @type {string[]} */ ids) => results.tracks.filter((one) => ids.includes(one.track_id));
  const parts = [
    { name: "film", says: `The whole film: ${counted(results.tracks.length, "track")} in ${counted(results.scenes.length, "scene")}`, tracks: [] },
    track !== null && { name: "track", says: `The selected track: ${listed(of([track]))}`, tracks: [track] },
    ticked.size > 0 && tickedPart(ticked.size, of([...ticked].flatMap((one) => one.track_ids))),
  ].filter((one) => one !== false);
  const frames = `${[...times.sampled.slice(0, 3)].join(", ")}${times.sampled.length > 3 ? " and so on" : ""}`;
  const looked = `${number(times.sampled.length)} of the film's ${counted(times.count, "frame")} were looked at: ${frames}.`;
  return html`<${Exporting} videos=${[results.video]} parts=${parts} first=${part} looked=${looked} close=${close} />`;
}

/**
 * @param {number} elements
 * @param {import("./shapes").Track[]} tracks
 */
function tickedPart(elements, tracks) {
  return { name: "ticked", says: `${counted(elements, "ticked element")}: ${listed(tracks)}`, tracks: tracks.map((one) => one.track_id) };
}

/** Their names. @param {Pick<import("./shapes").Track, "track_id" | "label">[]} tracks */
export function listed(tracks) {
  const names = tracks.slice(0, NAMED).map((one) => `${one.track_id} ${one.label}`.trim());
  return [...names, ...(tracks.length > NAMED ? [`${number(tracks.length - NAMED)} more`] : [])].join(", ");
}
