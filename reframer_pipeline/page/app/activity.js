/**
 * Uploads: every file that one brought, how far it is, and why it failed; of this session those that were refused, too.
 * What belongs here: that list. What does not: bytes under way (`transfers`), how a stage failed in detail (the video's screen).
 */
import { date, since } from "./format.js";
import { HeldUp } from "./held.js";
import { html, useState } from "./html.js";
import { jobs, unfinished } from "./jobs.js";
import { Empty, worded } from "./parts.js";
import { link } from "./router.js";
import { useShown } from "./shown.js";
import { useStore } from "./store.js";
import { refusals } from "./uploads.js";
import { howFar } from "./words.js";

/**
 * @typedef {object} Entry a line of the list
 * @property {string | number} key
 * @property {string} name
 * @property {string} at
 * @property {import("./types").Failure | null} failure
 * @property {import("./types").Job} [job] none: it was refused
 */

export function ActivityScreen() {
  useShown("Uploads");
  const known = useStore(jobs);
  const refused = useStore(refusals);
  const all = [
    ...refused.map(({ id, name, at, failure }) => ({ key: id, name, at, failure })),
    ...known.map((job) => ({ key: job.job_id, name: job.filename, at: job.created_at, failure: job.failure, job })),
  ].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const kinds = {
    "": () => true,
    unfinished: (/** @type {Entry} */ { job }) => job !== undefined && unfinished(job),
    failed: (/** @type {Entry} */ { failure }) => failure !== null,
  };
  const [only, show] = useState(/** @type {keyof typeof kinds} */ (""));
  const shown = all.filter(kinds[only]);
  return html`
    <div class="row"><h1 class="grow">Uploads</h1></div>
    <div class="row tight" role="group" aria-label="Which">
      ${/** @type {[keyof typeof kinds, string][]} */ (Object.entries({ "": "All", unfinished: "Under way", failed: "Failed" })).map(
        ([value, words]) =>
          html`<button key=${value} aria-pressed=${only === value} onClick=${() => show(value)}>${words} <span
            class="num dim">${all.filter(kinds[value]).length}</span></button>`,
      )}
    </div>
    <${HeldUp} />
    ${
      shown.length === 0 &&
      html`<${Empty} title=${only ? "None" : "Nothing uploaded yet"}>
      <p>${only === "failed" ? "No upload has failed." : only ? "Nothing is under way." : "Drop mp4, mov or avi files anywhere on this page."}</p><//>`
    }
    ${shown.length > 0 && html`<ul class="jobs card" aria-label="Uploads">${shown.map((entry) => html`<${Row} key=${entry.key}
      entry=${entry} />`)}</ul>`}
  `;
}

/** @param {{entry: Entry}} props */
function Row({ entry: { name, at, failure, job } }) {
  return html`<li>
    <div class="row">
      <span class="grow name wrap">${job?.video_id ? html`<a href=${link(`/videos/${job.video_id}`)}>${name}</a>` : name}</span>
      <span class="tag ${job?.status ?? "failed"} num">${job ? howFar(job) : "Refused"}</span>
      <time class="dim small" datetime=${at} title=${date(at)}>${since(at)}</time>
    </div>
    ${job?.was_theirs && html`<p class="dim small">You had this film already. It was not added again.</p>`}
    ${job && unfinished(job) && html`<progress value=${job.progress} aria-label="${name}: computed"></progress>`}
    ${failure && html`<div class="refused"><p class="wrap">${worded(failure.message)}</p><p class="wrap">${worded(failure.remedy)}</p><p
      class="code mono">${failure.code}</p></div>`}
  </li>`;
}
