/**
 * A video without results yet: how far its computation is, live, or why it failed.
 *
 * What belongs here: one job's state. What does not: lists of jobs (`jobs.js`), what was made (`made.js`).
 */
import { Deleting } from "../deleting.js";
import { HeldUp } from "../held.js";
import { html, useState } from "../html.js";
import { jobs, unfinished } from "../jobs.js";
import { Failed } from "../parts.js";
import { go } from "../router.js";
import { may } from "../session.js";
import { useStore } from "../store.js";
import { howFar } from "../words.js";
import { Made } from "./made.js";

/** @typedef {import("../types").Job} Job */

/**
 * The latest job of a video, live; null if it is not among the newest ones.
 * @param {import("./shapes").Video} video
 * @returns {Job | null}
 */
export function useJob({ video_id }) {
  return useStore(jobs, (all) => all.find((one) => one.video_id === video_id) ?? null);
}

/** @param {{ video: import("./shapes").Video, reload: () => void }} props */
export function Waiting({ video, reload }) {
  const job = useJob(video);
  const said = video.failure_code ? { code: video.failure_code, message: video.failure_message ?? "", remedy: "" } : null;
  const failure = unfinished(video) ? null : (job?.failure ?? said);
  return html`<div class="v-waiting">
    ${unfinished(video)
      ? html`<h2>${video.status === "processing" ? "Being computed" : "Waiting for its turn"}</h2><${HeldUp} /><${Progress} job=${job} />`
      : html`<h2>This video could not be computed</h2>${failure && html`<${Failed} failure=${failure}><${WaysOut} video=${video} /><//>`}`}
    <${Made} id=${video.video_id} status=${video.status} onrun=${reload} told=${failure?.code} />
  </div>`;
}

/** What one can do about a file that fails. @param {{ video: import("./shapes").Video }} props */
function WaysOut({ video }) {
  const [asking, ask] = useState(false);
  if (!may("write")) return null;
  return html`<div class="row">
    <button type="button" onClick=${() => document.getElementById("upload")?.click()}>Upload another file</button>
    <button type="button" class="danger" onClick=${() => ask(true)}>Delete…</button>
    ${asking && html`<${Deleting} videos=${[video]} close=${() => ask(false)} gone=${(/** @type {boolean} */ all) => all && go("#/")} />`}
  </div>`;
}

/** @param {{ job: Job | null }} props */
export function Progress({ job }) {
  if (!job || !unfinished(job)) return null;
  return html`<div class="v-progress" role="status">
    <progress max="1" value=${job.progress} aria-label="Progress"></progress>
    <p>${howFar(job)}</p>
  </div>`;
}
