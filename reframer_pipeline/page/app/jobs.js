/**
 * Jobs as they go on: one list that all screens share, asked anew while something is unfinished.
 * What belongs here: asking, and telling who listens. What does not: drawing (`activity`), bytes under way (`uploads`). One question for
 * all jobs, since a browser has few connections to a host and a stream of events would hold one for each.
 */
import { get } from "./api.js";
import { me } from "./session.js";
import { Store } from "./store.js";

const BUSY_MS = 2000;
const IDLE_MS = 15_000;
const PLACES = 2; // waiting jobs that are asked for their place in the queue

/** The newest jobs. */
export const jobs = new Store(/** @type {import("./types").Job[]} */ ([]));

/** Changes when a job has begun or ended, or another came: what is listed elsewhere is to be asked anew. */
export const turns = new Store("");

let timer = 0;
let asking = false;

/** Whether something is still to come. @param {{status: import("./types").Status}} one a job, or a video */
export const unfinished = ({ status }) => status === "pending" || status === "processing";

/** Look now, and go on looking. @returns {Promise<void>} */
export async function look() {
  clearTimeout(timer);
  if (asking || !me.value?.scopes.includes("read")) return;
  asking = true;
  try {
    if (!document.hidden) await ask();
  } catch {
    // told by whatever else asks; here it is asked again
  } finally {
    asking = false;
  }
  timer = setTimeout(look, jobs.value.some(unfinished) ? BUSY_MS : IDLE_MS);
}

async function ask() {
  const { jobs: found } = await get("/jobs", { limit: 100 });
  const waiting = found.filter((/** @type {import("./types").Job} */ job) => job.status === "pending").slice(-PLACES);
  const placed = await Promise.all(waiting.map((/** @type {import("./types").Job} */ job) => get(`/jobs/${job.job_id}`)));
  const byId = new Map(placed.map((job) => [job.job_id, job]));
  const all = found.map((/** @type {import("./types").Job} */ job) => byId.get(job.job_id) ?? job);
  jobs.set(all);
  const state = all.map((/** @type {import("./types").Job} */ job) => `${job.job_id} ${job.status}`).join();
  if (state !== turns.value) turns.set(state);
}

document.addEventListener("visibilitychange", () => void (document.hidden || look()));
