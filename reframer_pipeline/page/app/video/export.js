/**
 * Exporting what was chosen: a format and a download.
 *
 * What belongs here: the choice of a format. What does not: the formats themselves, which the API makes (docs/exports.md).
 */
import { media } from "../api.js";
import { html, useState } from "../html.js";

/** @type {[string, string][]} */
const FORMATS = [
  ["davis", "Masks as pictures (DAVIS)"],
  ["coco", "COCO: boxes, masks, tracks"],
  ["cvat", "CVAT: correct by hand"],
  ["mot", "MOT Challenge: boxes"],
  ["otio", "OpenTimelineIO"],
  ["edl", "EDL"],
  ["fcpxml", "Final Cut Pro 7 XML"],
  ["csv", "Tables as CSV"],
  ["parquet", "Tables as Parquet"],
];

/** @param {{ videoId: string, tracks: string[], count: number, clear: () => void }} props */
export function ExportBar({ videoId, tracks, count, clear }) {
  const [format, setFormat] = useState("davis");
  if (!count) return null;
  return html`<div class="v-export" role="region" aria-label="Export">
    <span>${count} chosen</span>
    <select aria-label="Format" value=${format} onChange=${(/** @type {any} */ event) => setFormat(event.target.value)}>
      ${FORMATS.map(([name, says]) => html`<option value=${name}>${says}</option>`)}
    </select>
    <a class="button primary" download href=${media(`/videos/${videoId}/export`, { format, track_id: tracks })}>Export</a>
    <button type="button" onClick=${clear}>Clear</button>
  </div>`;
}
