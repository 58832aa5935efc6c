/**
 * The warning that nobody computes: it stands wherever something waits.
 * What belongs here: drawing it, in the API's own words. What does not: how far a job is (`words`).
 */
import { html } from "./html.js";
import { jobs } from "./jobs.js";
import { worded } from "./parts.js";
import { useStore } from "./store.js";

/** Of all jobs. */
export const HeldUp = () => html`<${Held} by=${useStore(jobs, (all) => all.find((one) => one.held_up_by))?.held_up_by} />`;

/** @param {{by: import("./types").Failure | null | undefined}} props what it is held up by, if it is */
export function Held({ by: held }) {
  if (!held) return null;
  return html`<div class="notice warn" role="status"><h3 class="wrap">${worded(held.message)}</h3>
    <p class="wrap">${worded(held.remedy)}</p></div>`;
}
