/**
 * Uploads: every file that one brought, how far it is, and why it failed.
 * What belongs here: the list of jobs. What does not: bytes under way (`transfers`), how a stage failed in detail (the video's screen).
 */
import { date, since } from "./format.js";
import { html, useState } from "./html.js";
import { jobs, unfinished } from "./jobs.js";
import { Empty } from "./parts.js";
import { link } from "./router.js";
import { useShown } from "./shown.js";
import { useStore } from "./store.js";
import { howFar } from "./words.js";

const STUCK_MS = 90_000;

export function ActivityScreen() {
  useShown("Uploads");
  const all = useStore(jobs);
  const [only, show] = useState(/** @type {string} */ (""));
  const shown = all.filter((job) => !only || (only === "failed" ? job.status === "failed" : unfinished(job)));
  const counts = { "": all.length, failed: all.filter((job) => job.status === "failed").length, unfinished: all.filter(unfinished).length };
  const idle =
    all.some((job) => job.status === "pending" && Date.now() - Date.parse(job.updated_at) > STUCK_MS) &&
    !all.some((job) => job.status === "processing");
  return html`
    <div class="row"><h1 class="grow">Uploads</h1></div>
    <div class="row tight" role="group" aria-label="Which">
      ${Object.entries({ "": "All", unfinished: "Under way", failed: "Failed" }).map(
        ([value, words]) =>
          html`<button key=${value} aria-pressed=${only === value} onClick=${() => show(value)}>${words} <span
            class="num dim">${counts[/** @type {keyof counts} */ (value)]}</span></button>`,
      )}
    </div>
    ${idle && html`<div class="notice warn"><h3>Nothing is being computed</h3>
      <p>Videos wait for a running <code>reframer dev</code> on the server.</p></div>`}
    ${
      shown.length === 0 &&
      html`<${Empty} title=${only ? "None" : "Nothing uploaded yet"}>
      <p>${only === "failed" ? "No upload has failed." : only ? "Nothing is under way." : "Drop mp4, mov or avi files anywhere on this page."}</p><//>`
    }
    ${shown.length > 0 && html`<ul class="jobs card" aria-label="Uploads">${shown.map((job) => html`<${Row} key=${job.job_id}
      job=${job} />`)}</ul>`}
  `;
}

/** @param {{job: import("./types").Job}} props */
function Row({ job }) {
  return html`<li>
    <div class="row">
      <span class="grow name wrap">${job.video_id ? html`<a
        href=${link(`/videos/${job.video_id}`)}>${job.filename}</a>` : job.filename}</span>
      <span class="tag ${job.status} num">${howFar(job)}</span>
      <time class="dim small" datetime=${job.created_at} title=${date(job.created_at)}>${since(job.created_at)}</time>
    </div>
    ${unfinished(job) && html`<progress value=${job.progress} aria-label="${job.filename}: computed"></progress>`}
    ${job.failure && html`<div class="refused"><p class="wrap">${job.failure.message}</p><p class="wrap">${job.failure.remedy}</p><p
      class="code mono">${job.failure.code}</p></div>`}
  </li>`;
}
