/**
 * A video without results yet: how far its computation is, live, or why it failed.
 *
 * What belongs here: one job's state. What does not: lists of jobs (`jobs.js`), what was made (`made.js`).
 */
import { events, get } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { Failed } from "../parts.js";
import { howFar } from "../words.js";
import { Made } from "./made.js";

const LOOK_MS = 3000;

/**
 * The latest job of a video, live; null while it is not known.
 * @param {import("./shapes").Video} video
 * @param {() => void} onend called when it has ended
 */
export function useJob(video, onend) {
  const { video_id: id, status } = video;
  const [job, setJob] = useState(/** @type {any} */ (null));
  useEffect(() => {
    const ended = new AbortController();
    const { signal } = ended;
    let open = false;
    const told = (/** @type {any} */ now) => {
      setJob(now);
      const going = now.status === "pending" || now.status === "processing";
      if (open && !going) onend();
      open = going;
    };
    const look = async () => {
      const { jobs } = await get("/jobs", { limit: 200 }, { signal });
      const mine = jobs.find((/** @type {any} */ one) => one.video_id === id);
      if (!mine) return;
      told(mine);
      if (open) await events(`/jobs/${mine.job_id}/events`, told, { signal });
    };
    look().catch(() => {});
    return () => ended.abort();
  }, [id, status]);
  return job;
}

/** @param {{ video: import("./shapes").Video, reload: () => void }} props */
export function Waiting({ video, reload }) {
  const job = useJob(video, reload);
  useEffect(() => {
    if (video.status === "failed") return undefined;
    const timer = setInterval(reload, LOOK_MS * 5); // whatever becomes of the events
    return () => clearInterval(timer);
  }, [video.status]);
  const failure = job?.failure ?? (video.failure_code ? { code: video.failure_code, message: video.failure_message } : null);
  const failed = (job?.status ?? video.status) === "failed";
  return html`<div class="v-waiting">
    ${failed
      ? html`<h2>This video could not be computed</h2>${failure && html`<${Failed} failure=${{ remedy: "", ...failure }} />`}`
      : html`<h2>${job?.status === "processing" ? "Being computed" : "Waiting for its turn"}</h2><${Progress} job=${job} />`}
    <${Made} id=${video.video_id} onrun=${reload} />
  </div>`;
}

/** @param {{ job: any }} props */
export function Progress({ job }) {
  if (!job) return null;
  return html`<div class="v-progress" role="status">
    <progress max="1" value=${job.progress} aria-label="Progress"></progress>
    <p>${howFar(job)}</p>
  </div>`;
}
