/** What states, stages and classes are called on the page. What belongs here: those words, for all screens alike. */
import { about, number, percent } from "./format.js";

/** @type {Record<string, string>} */
export const STATUS = { pending: "Waiting", processing: "Working", completed: "Ready", failed: "Failed" };

/** @type {Record<string, string>} */
export const STAGE = {
  metadata: "Reading the file",
  frames: "Taking frames",
  detections: "Finding people and products",
  masks: "Outlining them",
  trajectories: "Following them",
  scenes: "Describing the scenes",
};

/** How far a job is, in one line. @param {import("./types").Job} job @returns {string} */
export function howFar(job) {
  const left = job.seconds_left === null ? "" : `, ${about(job.seconds_left)} left`;
  if (job.status === "pending") return job.place_in_queue ? `Waiting, number ${number(job.place_in_queue)} in line${left}` : "Waiting";
  if (job.status === "processing")
    return `${job.stage ? (STAGE[job.stage.name] ?? job.stage.name) : "Beginning"}, ${percent(job.progress)}${left}`;
  return STATUS[job.status];
}
