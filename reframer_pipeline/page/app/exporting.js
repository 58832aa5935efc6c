/**
 * Exporting: choosing a format, and beginning the download.
 * What belongs here: the formats in words (`docs/exports.md`), for the library and for one video. What does not: making them (the server).
 */
import { credentials, media, Problem, sameOrigin, url } from "./api.js";
import { Dialog } from "./dialog.js";
import { counted } from "./format.js";
import { html, useState } from "./html.js";
import { asProblem, Failed } from "./parts.js";

/** @type {[string, [string, string, string][]][]} by use: format, name, what it keeps */
const FORMATS = [
  [
    "Masks and tracks",
    [
      ["coco", "COCO", "Boxes, masks, tracks, labels and times, in one JSON"],
      ["davis", "DAVIS", "Masks of tracks as PNG, a picture a sampled frame"],
      ["mot", "MOT Challenge", "Boxes and tracks as text"],
      ["cvat", "CVAT", "Boxes, masks and tracks, to correct by hand"],
    ],
  ],
  [
    "Tables",
    [
      ["csv", "CSV", "Everything, for a spreadsheet"],
      ["parquet", "Parquet", "Everything, with types"],
    ],
  ],
  [
    "Timelines",
    [
      ["otio", "OpenTimelineIO", "Scenes and elements with all their figures"],
      ["fcpxml", "Final Cut Pro XML", "Scenes and elements, for Premiere and Resolve"],
      ["edl", "EDL", "Scenes and elements, for any editing program"],
      ["vtt", "WebVTT", "Scenes as chapters"],
    ],
  ],
];

/**
 * @param {{videos: import("./types").Video[], close: () => void, tracks?: string[]}} props `tracks`: of one video, only these
 */
export function Exporting({ videos, close, tracks = [] }) {
  const ready = videos.filter((video) => video.result_id);
  const [format, choose] = useState("coco");
  const [failure, fail] = useState(/** @type {Problem | null} */ (null));
  const [busy, work] = useState(false);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    work(true);
    fail(null);
    try {
      await download(ready, format, tracks);
      close();
    } catch (error) {
      fail(asProblem(error));
      work(false);
    }
  };
  const missing = videos.length - ready.length;
  const what = tracks.length ? counted(tracks.length, "track") : ready.length === 1 ? ready[0].filename : counted(ready.length, "video");
  return html`<${Dialog} title="Export" close=${close} className="exporting">
    ${
      missing > 0 &&
      html`<p class="notice warn">
        ${ready.length ? `${counted(missing, "video has", "videos have")} no results yet, and will not be in it.` : "None of them has results yet. Wait until they are ready."}</p>`
    }
    <form class="stack" onSubmit=${submit}>
      ${FORMATS.map(
        ([use, formats]) => html`<fieldset key=${use}><legend>${use}</legend>
          ${formats.map(
            ([name, title, says]) => html`<label class="choice" key=${name}>
              <input type="radio" name="format" value=${name} checked=${format === name} onChange=${() => choose(name)} />
              <span><b>${title}</b> <span class="dim">${says}</span></span></label>`,
          )}
        </fieldset>`,
      )}
      ${failure && html`<${Failed} failure=${failure} />`}
      <div class="row"><p class="grow dim wrap">${ready.length ? what : ""}</p><button class="primary" disabled=${busy || !ready.length}>${busy ? "Beginning…" : "Download"}</button></div>
    </form>
  <//>`;
}

/**
 * Begin a download. What is wrong is found out first: a browser would save the failure as a file.
 * @param {import("./types").Video[]} videos @param {string} format @param {string[]} tracks @throws {Problem}
 */
async function download(videos, format, tracks) {
  const one = videos.length === 1;
  const path = one ? `/videos/${videos[0].video_id}/export` : "/export";
  const params = { format, track_id: one ? tracks : [], video_id: one ? [] : videos.map((video) => video.video_id) };
  const look = new AbortController();
  const answer = await fetch(url(path, params), {
    headers: credentials(),
    signal: look.signal,
    credentials: sameOrigin() ? "same-origin" : "omit",
  });
  if (!answer.ok) throw Problem.of(answer.status, await answer.text());
  look.abort();
  const anchor = Object.assign(document.createElement("a"), { href: media(path, params), download: "" });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}
