/**
 * Dropping files anywhere, and the bar at the foot of every screen that shows them on their way, then what is computed of them.
 * What belongs here: both drawn. What does not: sending (`uploads`), the list of all jobs (`activity`).
 */
import { about, bytes, counted, percent } from "./format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { jobs, unfinished } from "./jobs.js";
import { worded } from "./parts.js";
import { link } from "./router.js";
import { useStore } from "./store.js";
import { add, again, findInterrupted, forget, interrupted, remove, transfers } from "./uploads.js";
import { howFar } from "./words.js";

/** The button that chooses files; key U. */
export function UploadButton() {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const take = () => {
    add(input.current?.files ?? []);
    if (input.current) input.current.value = "";
  };
  return html`<button class="primary" id="upload" onClick=${() => input.current?.click()}>Upload<span class="unseen"> videos</span></button>
    <input type="file" multiple hidden ref=${input} onChange=${take}
      aria-label="Videos to upload" accept="video/mp4,video/quicktime,video/x-msvideo,.mp4,.mov,.avi,.m4v" />`;
}

/** Takes what is dropped, wherever on the page. */
export function DropZone() {
  const [over, set] = useState(false);
  useEffect(() => {
    let depth = 0;
    const files = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
    /** @type {Record<string, (event: DragEvent) => void>} */
    const heard = {
      dragenter: () => set((depth += 1) > 0),
      dragover: () => {},
      dragleave: () => set((depth -= 1) > 0),
      drop: (event) => {
        set((depth = 0) > 0);
        dropped(/** @type {DataTransfer} */ (event.dataTransfer)).then(add);
      },
    };
    const hear = (/** @type {Event} */ event) => {
      if (!files(/** @type {DragEvent} */ (event))) return;
      event.preventDefault();
      heard[event.type](/** @type {DragEvent} */ (event));
    };
    for (const type in heard) addEventListener(type, hear);
    return () => {
      for (const type in heard) removeEventListener(type, hear);
    };
  }, []);
  return over && html`<div class="drop"><p>Drop videos to upload them</p></div>`;
}

/** The files of what was dropped, those in folders too. @param {DataTransfer} data @returns {Promise<File[]>} */
async function dropped(data) {
  const plain = [...data.files];
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null && entry !== undefined);
  if (!entries.some((entry) => entry.isDirectory)) return plain;
  return (await Promise.all(entries.map(inside))).flat();
}

/** @param {FileSystemEntry} entry @returns {Promise<File[]>} */
async function inside(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => /** @type {FileSystemFileEntry} */ (entry).file(done, fail))];
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return (await Promise.all(found.map(inside))).flat();
    found.push(...some.filter(({ name }) => !name.startsWith(".")));
  }
}

/** What is under way. It is open while bytes are sent and while something is to be read; below it the screen ends, so it covers nothing. */
export function Transfers() {
  const all = useStore(transfers);
  const left = useStore(interrupted);
  const latest = useStore(jobs);
  const [chosen, choose] = useState(/** @type {boolean | null} */ (null));
  const bar = useRef(/** @type {HTMLElement | null} */ (null));
  const newest = all.at(-1)?.id;
  const there = all.length + left.length > 0;
  useEffect(() => choose(null), [newest]);
  useLayoutEffect(() => {
    if (!bar.current) return undefined;
    const height = (/** @type {number} */ px) => document.documentElement.style.setProperty("--docked", `${px}px`);
    const watch = new ResizeObserver(() => height(bar.current?.offsetHeight ?? 0));
    watch.observe(bar.current);
    return () => (watch.disconnect(), height(0));
  }, [there]);
  useEffect(() => void findInterrupted(), []);
  useEffect(() => {
    const stay = (/** @type {Event} */ event) =>
      transfers.value.some(({ state }) => state === "sending" || state === "waiting" || state === "trouble") && event.preventDefault();
    addEventListener("beforeunload", stay);
    return () => removeEventListener("beforeunload", stay);
  }, []);
  if (!there) return null;
  const sending = all.filter(({ state }) => state !== "sent" && state !== "refused");
  const done = all.filter(({ state }) => state === "sent" || state === "refused");
  const refused = done.filter(({ state }) => state === "refused").length;
  const jobOf = (/** @type {import("./uploads.js").Transfer} */ one) => latest.find((job) => job.job_id === one.jobId);
  const known = done.filter((one) => jobOf(one)?.was_theirs).length;
  const open = chosen ?? sending.length + refused + known > 0;
  const title = sending.length
    ? `Uploading ${counted(sending.length, "file")}, ${percent(share(sending))}`
    : [
        all.length > refused + known && `${counted(all.length - refused - known, "file")} uploaded`,
        known && `${known} there already`,
        refused && `${refused} refused`,
      ]
        .filter(Boolean)
        .join(", ") || `${counted(left.length, "upload")} broke off`;
  return html`<section class="transfers" aria-label="Files on their way" ref=${bar}>
    <div class="row">
      <h2 class="grow" role="status">${title}</h2>
      ${done.length > 0 && html`<button class="plain" onClick=${() => done.forEach(({ id }) => remove(id))}>Clear</button>`}
      <button class="plain icon" aria-expanded=${open} aria-label=${open ? "Make small" : "Show"} onClick=${() => choose(!open)}>${open ? "–" : "+"}</button>
    </div>
    <ul hidden=${!open}>
      ${all.map((one) => html`<${Row} key=${one.id} transfer=${one} job=${jobOf(one)} />`)}
      ${left.map(
        (one) => html`<li key=${one.key}>
          <div class="row"><span class="grow name">${one.name}</span>
            <button class="plain icon" aria-label="Forget ${one.name}" onClick=${() => forget(one)}>×</button></div>
          <p class="small dim">Broke off. Drop the same file again: it goes on where it was.</p>
        </li>`,
      )}
    </ul>
  </section>`;
}

/** How much of some files is sent, 0 to 1. @param {import("./uploads.js").Transfer[]} files */
function share(files) {
  const sum = (/** @type {(one: import("./uploads.js").Transfer) => number} */ of) => files.reduce((total, one) => total + of(one), 0);
  return sum(({ sent }) => sent) / Math.max(1, sum(({ file }) => file.size));
}

/** @param {{transfer: import("./uploads.js").Transfer, job?: import("./types").Job}} props */
function Row({ transfer, job }) {
  const { id, file, state, sent, rate, failure } = transfer;
  const wrong = failure ?? job?.failure;
  const under = state === "sending" || state === "trouble";
  const words = () => {
    if (state === "judging") return "Looking at it";
    if (state === "waiting") return "Waits for its turn";
    if (state === "trouble") return `The connection broke off at ${percent(sent / file.size)}. Trying again`;
    if (state === "sending") return `${bytes(sent)} of ${bytes(file.size)}${rate ? `, ${about((file.size - sent) / rate)} left` : ""}`;
    return job ? howFar(job) : "Sent";
  };
  const progress = under ? sent / file.size : job && unfinished(job) ? job.progress : null;
  const name = job?.video_id && !job.was_theirs ? html`<a href=${link(`/videos/${job.video_id}`)}>${file.name}</a>` : file.name;
  return html`<li>
    <div class="row">
      <span class="grow name">${name}</span>
      ${state === "refused" && failure?.code !== "not_a_video" && failure?.code !== "file_too_large" && html`<button class="plain"
        onClick=${() => again(id)}>Send again</button>`}
      <button class="plain icon" aria-label="${under ? "Stop" : "Take off the list:"} ${file.name}" onClick=${() => remove(id)}>×</button>
    </div>
    ${
      wrong
        ? html`<div class="refused" role="alert"><p class="wrap">${worded(wrong.message)}</p><p class="wrap">${worded(wrong.remedy)}</p><p
          class="code mono">${wrong.code}</p></div>`
        : html`${job?.was_theirs && html`<p class="small wrap">You have this film already, as <a
            href=${link(`/videos/${job.video_id}`)}>${job.filename}</a>. It was not added again.</p>`}
          ${!(job?.was_theirs && job.status === "completed") && html`<p class="small dim num">${words()}</p>`}`
    }
    ${progress !== null && !wrong && html`<progress value=${progress} aria-label="${file.name}: ${under ? "sent" : "computed"}">
      </progress>`}
  </li>`;
}
