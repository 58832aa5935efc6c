/**
 * The labels that there are: asking for them, and those that are nearest to what somebody typed.
 * What belongs here: that list. What does not: the search itself (`search`).
 */
import { get } from "./api.js";
import { useEffect, useState } from "./html.js";

/** @typedef {import("./types").LabelCount} LabelCount */

/**
 * Those of one's videos, the most frequent first; null until they are known, and if they cannot be.
 * @param {string | null} kind what is searched; null: it has none @returns {LabelCount[] | null}
 */
export function useLabels(kind) {
  const [known, set] = useState(/** @type {{kind: string, labels: LabelCount[]} | null} */ (null));
  useEffect(() => {
    const stop = new AbortController();
    if (kind)
      get("/labels", { in: kind }, stop).then(
        ({ labels }) => set({ kind, labels }),
        () => {}, // a search does without
      );
    return () => stop.abort();
  }, [kind]);
  return known && known.kind === kind ? known.labels : null;
}

/** Whether two are the same to a search. @param {string} one @param {string} other */
export const alike = (one, other) => one.trim().toLowerCase() === other.trim().toLowerCase();

/**
 * Those that a typed one may have meant: few slips away, or with it in them; the nearest first.
 * @param {string} typed @param {LabelCount[]} labels @returns {LabelCount[]}
 */
export function nearest(typed, labels) {
  const wanted = typed.trim().toLowerCase();
  const far = Math.max(1, Math.floor(wanted.length / 3));
  return labels
    .map((one) => ({ one, slips: one.label.toLowerCase().includes(wanted) ? 1 : slips(wanted, one.label.toLowerCase()) }))
    .filter((each) => each.slips <= far)
    .sort((a, b) => a.slips - b.slips)
    .map(({ one }) => one);
}

/**
 * Characters too many, missing, wrong, or in the wrong order: the restricted Damerau-Levenshtein distance.
 * @param {string} a @param {string} b @returns {number}
 */
function slips(a, b) {
  /** @type {number[][]} */
  const rows = [[...Array(b.length + 1).keys()]];
  for (let i = 1; i <= a.length; i += 1) {
    rows[i] = [i];
    for (let j = 1; j <= b.length; j += 1) {
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + Number(a[i - 1] !== b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.length][b.length];
}
