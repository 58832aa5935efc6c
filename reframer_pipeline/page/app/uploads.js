/**
 * Files on their way to the server: a queue, two at a time, each resumable (tus 1.0).
 * What belongs here: bytes. What does not: what becomes of a file then (`jobs`), drawing (`transfers`). A browser forgets dropped files
 * when the page is loaded anew; where each had come to is kept, and the same file goes on from there when it is dropped again.
 */
import { credentials, Problem, url } from "./api.js";
import { look } from "./jobs.js";
import { judge } from "./judging.js";
import { Store } from "./store.js";

const AT_ONCE = 2;
const RETRIES_MS = [0, 1000, 3000, 5000, ...Array(60).fill(10_000)];
const OVER_MS = 8000; // that a rate is measured over

/**
 * @typedef {object} Transfer
 * @property {number} id
 * @property {File} file
 * @property {"judging" | "waiting" | "sending" | "trouble" | "sent" | "refused"} state
 * @property {number} sent bytes
 * @property {number | null} rate bytes a second
 * @property {import("./types").Failure | null} failure
 * @property {string | null} jobId
 */

/** @typedef {{id: number, name: string, at: string, failure: import("./types").Failure}} Refusal a file that was not taken, and when */

/** @typedef {{name: string, size: number, key: string}} Interrupted a file that was under way when the page was left */

/** @type {Store<Transfer[]>} */
export const transfers = new Store(/** @type {Transfer[]} */ ([]));
/** Of this session, the newest first: also those that are off the list above. @type {Store<Refusal[]>} */
export const refusals = new Store(/** @type {Refusal[]} */ ([]));
export const interrupted = new Store(/** @type {Interrupted[]} */ ([]));

/** @type {Map<number, TusUpload>} */
const running = new Map();
let numbers = 0;

/** Take files in. @param {Iterable<File>} files */
export function add(files) {
  for (const file of files) {
    const id = (numbers += 1);
    transfers.set([...transfers.value, { id, file, state: "judging", sent: 0, rate: null, failure: null, jobId: null }]);
    judge(file).then((failure) => {
      if (failure) refuse(id, failure);
      else change(id, { state: "waiting" });
      next();
    });
  }
}

/** Give a file up, or take it off the list. @param {number} id */
export function remove(id) {
  running
    .get(id)
    ?.abort(true)
    .catch(() => {});
  running.delete(id);
  transfers.set(transfers.value.filter((one) => one.id !== id));
  next();
}

/** Send a file once more that was refused. @param {number} id */
export function again(id) {
  refusals.set(refusals.value.filter((one) => one.id !== id));
  change(id, { state: "waiting", failure: null });
  next();
}

/** Which files were under way when the page was left. @returns {Promise<void>} */
export async function findInterrupted() {
  if (!Object.keys(localStorage).some((name) => name.startsWith("tus::"))) return interrupted.set([]); // the library need not be loaded
  const known = new Set(transfers.value.map(({ file }) => `${file.name} ${file.size}`));
  const all = await (await library()).defaultOptions.urlStorage.findAllUploads();
  const here = all.filter(
    (/** @type {TusPrevious} */ one) =>
      one.uploadUrl?.startsWith(url("/uploads")) && Date.now() - Date.parse(one.creationTime) < 86_400_000,
  );
  const left = here.map((/** @type {TusPrevious} */ one) => ({ name: one.metadata.filename, size: one.size ?? 0, key: one.urlStorageKey }));
  interrupted.set(left.filter((/** @type {Interrupted} */ one) => !known.has(`${one.name} ${one.size}`)));
}

/** Forget one of them. @param {Interrupted} one @returns {Promise<void>} */
export async function forget(one) {
  await (await library()).defaultOptions.urlStorage.removeUpload(one.key);
  await findInterrupted();
}

async function library() {
  await import("tus-js-client");
  return tus;
}

/** @param {number} id @param {Partial<Transfer>} more */
function change(id, more) {
  transfers.set(transfers.value.map((one) => (one.id === id ? { ...one, ...more } : one)));
}

/** @param {number} id @param {import("./types").Failure} failure */
function refuse(id, failure) {
  const file = transfers.value.find((one) => one.id === id)?.file;
  if (file) refusals.set([{ id, name: file.name, at: new Date().toISOString(), failure }, ...refusals.value]);
  change(id, { state: "refused", failure });
}

function next() {
  const waiting = transfers.value.find((one) => one.state === "waiting");
  if (!waiting || transfers.value.filter((one) => one.state === "sending" || one.state === "trouble").length >= AT_ONCE) return;
  change(waiting.id, { state: "sending" });
  begin(waiting).catch((error) =>
    refuse(waiting.id, { code: "page_error", message: String(error), remedy: "Load the page again." }),
  );
  next();
}

/** @param {Transfer} transfer */
async function begin({ id, file }) {
  /** @type {[number, number][]} */
  let marks = [];
  const upload = new (await library()).Upload(file, {
    endpoint: url("/uploads"),
    headers: credentials(),
    metadata: { filename: file.name },
    retryDelays: RETRIES_MS,
    removeFingerprintOnSuccess: true,
    onShouldRetry(/** @type {TusError} */ error) {
      const status = error.originalResponse?.getStatus() ?? 0;
      const retried = !status || status >= 500 || [409, 423, 429].includes(status);
      if (retried) change(id, { state: "trouble", rate: null });
      return retried;
    },
    onProgress(/** @type {number} */ sent) {
      const now = performance.now();
      marks = [...marks.filter(([at]) => now - at < OVER_MS), [now, sent]];
      const [at, before] = marks[0];
      change(id, { state: "sending", sent, rate: now - at > 1000 ? ((sent - before) / (now - at)) * 1000 : null });
    },
    onSuccess() {
      running.delete(id);
      change(id, { state: "sent", sent: file.size, jobId: upload.url?.split("/").pop() ?? null });
      look();
      next();
    },
    onError(/** @type {TusError} */ error) {
      running.delete(id);
      refuse(id, said(error));
      next();
    },
  });
  running.set(id, upload);
  const [previous] = await upload.findPreviousUploads();
  if (previous) upload.resumeFromPreviousUpload(previous);
  if (!transfers.value.some((one) => one.id === id)) return; // taken off the list meanwhile
  upload.start();
  findInterrupted();
}

/** @param {TusError} error @returns {import("./types").Failure} */
function said(error) {
  const answer = error.originalResponse;
  if (!answer)
    return {
      code: "offline",
      message: "The server could not be reached for a long time.",
      remedy: "Check the connection, then send it again. It goes on where it was.",
    };
  const problem = Problem.of(answer.getStatus(), answer.getBody());
  return { code: problem.code, message: problem.message, remedy: problem.remedy };
}
