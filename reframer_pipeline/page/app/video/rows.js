/**
 * Rows of one set of results.
 *
 * What belongs here: that a video's rows never come of two sets, since it may be computed anew at any time. What does not: which rows are
 * wanted (`loading.js`, `room.js`).
 */
import { pages } from "../api.js";

/** Newer results have taken the place of those that were meant. */
export class Newer extends Error {}

/**
 * All rows of a table. @param {import("./shapes").Video} video whose set is meant
 * @param {string} name of the table @param {Record<string, unknown>} params @param {AbortSignal} signal
 * @returns {Promise<any[]>} @throws {Newer}
 */
export async function rowsOf({ video_id, result_id }, name, params, signal) {
  const rows = [];
  for await (const page of pages(`/videos/${video_id}/${name}`, params, { signal })) {
    if (page.result_id !== result_id) throw new Newer(name);
    rows.push(...page[name]);
  }
  return rows;
}
