/**
 * The library: one's videos with poster, name, length and state; filters, order, and a selection to export or delete.
 * What belongs here: the list. What does not: what is done with the selection (`exporting`, `deleting`), search over contents (`search`).
 */
import { get, media } from "./api.js";
import { Deleting } from "./deleting.js";
import { Exporting } from "./exporting.js";
import { bytes, counted, length, since } from "./format.js";
import { HeldUp } from "./held.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { jobs, turns, unfinished } from "./jobs.js";
import { asProblem, Empty, Failed } from "./parts.js";
import { go, link } from "./router.js";
import { may } from "./session.js";
import { useShown } from "./shown.js";
import { useStore } from "./store.js";
import { howFar, STATUS } from "./words.js";

/** @typedef {import("./types").Video} Video */

const PAGE = 60;
const SORTS = { "": "Newest first", uploaded: "Oldest first", name: "By name", "-duration": "Longest first", duration: "Shortest first" };

/** @param {{params: URLSearchParams}} props */
export function LibraryScreen({ params }) {
  const asked = { name: params.get("name"), status: params.get("status"), sort: params.get("sort") };
  const filtered = Boolean(asked.name || asked.status);
  const { videos, next, more, failure, again } = useVideos(asked);
  const [chosen, choose] = useState(/** @type {Set<string>} */ (new Set()));
  const [task, begin] = useState(/** @type {"export" | "delete" | null} */ (null));
  const last = useRef(/** @type {string | null} */ (null));
  useShown("Library", Boolean(videos?.some((video) => video.demo_models)));

  const selected = (videos ?? []).filter((video) => chosen.has(video.video_id));
  /** @param {string} id @param {boolean} range */
  const toggle = (id, range) => {
    const ids = (videos ?? []).map((video) => video.video_id);
    const to = new Set(chosen);
    const on = !to.has(id);
    const [from, until] = [range && last.current ? ids.indexOf(last.current) : ids.indexOf(id), ids.indexOf(id)];
    for (const one of ids.slice(Math.max(0, Math.min(from, until)), Math.max(from, until) + 1)) on ? to.add(one) : to.delete(one);
    last.current = id;
    choose(to);
  };
  const all = () => choose(new Set(selected.length === videos?.length ? [] : videos?.map((video) => video.video_id)));

  useEffect(() => {
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      if (
        document.querySelector("dialog[open]") ||
        event.altKey ||
        /** @type {HTMLElement} */ (event.target).matches("input:not([type=checkbox]), select")
      )
        return;
      const card = /** @type {HTMLElement | null} */ (document.activeElement)?.closest("[data-video]");
      const mod = event.ctrlKey || event.metaKey;
      if (event.key === "Escape" && chosen.size) choose(new Set());
      else if (event.key === "a" && mod && videos?.length) all();
      else if (event.key === "Delete" && chosen.size && may("write")) begin("delete");
      else if (event.key === "x" && !mod && card) toggle(/** @type {HTMLElement} */ (card).dataset.video ?? "", event.shiftKey);
      else if (event.key.startsWith("Arrow") && card) move(card, event.key);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  });

  const empty = filtered
    ? html`<${Empty} title="No video fits"><p>Nothing here has this name and state.</p><a class="button" href="#/">Show all</a><//>`
    : html`<${Empty} title="No videos yet">
        ${
          may("write")
            ? html`<p>Drop mp4, mov or avi files anywhere on this page. Every person and product in them is found, outlined and followed.</p>
              <button class="primary" onClick=${() => document.getElementById("upload")?.click()}>Choose videos</button>`
            : html`<p>Your key may look, and not upload. Videos of yours appear here.</p>`
        }
      <//>`;
  return html`
    <div class="row">
      <h1 class="grow">Library</h1>
      ${videos && html`<p class="dim num" role="status">${counted(videos.length, "video")}${next ? " shown" : ""}</p>`}
    </div>
    <form class="row filters" role="search" aria-label="Filter the library" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label class="grow"><span class="unseen">Name has</span>
        <input type="search" data-find name="name" placeholder="Filter by name" value=${asked.name ?? ""} onInput=${(/** @type {any} */ event) => turn(params, "name", event.target.value)} /></label>
      <label><span class="unseen">State</span>
        <select value=${asked.status ?? ""} onChange=${(/** @type {any} */ event) => turn(params, "status", event.target.value)}>
          <option value="">All states</option>
          ${Object.entries(STATUS).map(([value, words]) => html`<option value=${value}>${words}</option>`)}
        </select></label>
      <label><span class="unseen">Order</span>
        <select value=${asked.sort ?? ""} onChange=${(/** @type {any} */ event) => turn(params, "sort", event.target.value)}>
          ${Object.entries(SORTS).map(([value, words]) => html`<option value=${value}>${words}</option>`)}
        </select></label>
      ${Boolean(videos?.length) && html`<button
        onClick=${all}>${selected.length === videos?.length ? "Select none" : "Select all"}</button>`}
    </form>
    <${HeldUp} />
    ${failure && html`<${Failed} failure=${failure}><div><button onClick=${again}>Try again</button></div><//>`}
    ${videos?.length === 0 && !failure && empty}
    ${
      Boolean(videos?.length) &&
      html`<ul class="cards" aria-label="Videos">
      ${videos?.map((video) => html`<${Card}
        key=${video.video_id} video=${video} chosen=${chosen.has(video.video_id)} toggle=${toggle} />`)}
    </ul>`
    }
    ${next && html`<div class="row center"><button onClick=${more}>Show more</button></div>`}
    ${
      selected.length > 0 &&
      html`<div class="selection card row" role="region" aria-label="Selection">
      <p class="grow num" role="status">${counted(selected.length, "video")} selected</p>
      <button class="primary" onClick=${() => begin("export")}>Export…</button>
      ${may("write") && html`<button class="danger" onClick=${() => begin("delete")}>Delete…</button>`}
      <button class="plain" onClick=${() => choose(new Set())}>Clear</button>
    </div>`
    }
    ${task === "export" && html`<${Exporting} videos=${selected} close=${() => begin(null)} />`}
    ${
      task === "delete" &&
      html`<${Deleting} videos=${selected} close=${() => begin(null)} gone=${() => {
        choose(new Set());
        again();
      }} />`
    }
  `;
}

/** @param {{video: Video, chosen: boolean, toggle: (id: string, range: boolean) => void}} props */
function Card({ video, chosen, toggle }) {
  const job = useStore(jobs).find((one) => one.video_id === video.video_id && unfinished(one));
  const [blank, leave] = useState(false);
  return html`<li class="video card ${chosen ? "chosen" : ""}" data-video=${video.video_id}>
    <a href=${link(`/videos/${video.video_id}`)} aria-label=${`${video.filename}, ${STATUS[video.status]}`}>
      <div class="poster">
        ${
          video.result_id && !blank
            ? html`<img src=${media(`/videos/${video.video_id}/poster.jpg`)} alt="" loading="lazy" onError=${() => leave(true)} />`
            : html`<span class="none" aria-hidden="true">${video.status === "failed" ? "!" : unfinished(video) ? "…" : "▶"}</span>`
        }
        ${video.duration !== null && html`<span class="length num">${length(video.duration)}</span>`}
      </div>
      <p class="name"
        title=${`${video.filename}${video.width ? `, ${video.width} × ${video.height}` : ""}, ${bytes(video.size_bytes)}`}>${video.filename}</p>
    </a>
    <input type="checkbox" checked=${chosen} aria-label="Select ${video.filename}" onClick=${(/** @type {MouseEvent} */ event) => toggle(video.video_id, event.shiftKey)} />
    <div class="row about">
      <span class="tag ${video.status} grow wrap num">${job ? howFar(job) : STATUS[video.status]}</span>
      ${!job && html`<time class="dim small" datetime=${video.uploaded_at}>${since(video.uploaded_at)}</time>`}
    </div>
    ${job && html`<progress value=${job.progress} aria-label="${video.filename}: computed"></progress>`}
    ${video.status === "failed" && html`<p class="about small wrong wrap">${video.failure_message}</p>`}
    ${video.archived && html`<p class="about small dim">Archived: whoever runs the server can bring its results back.</p>`}
  </li>`;
}

/**
 * The videos that fit, page by page; asked anew when a job begins or ends.
 * @param {{name: string | null, status: string | null, sort: string | null}} asked
 */
function useVideos(asked) {
  const [found, set] = useState(
    /** @type {{videos: Video[] | null, next: string | null, failure: any}} */ ({ videos: null, next: null, failure: null }),
  );
  const [round, count] = useState(0);
  const turn = useStore(turns);
  const question = JSON.stringify(asked);
  useEffect(() => {
    const stop = new AbortController();
    const limit = Math.min(2000, Math.max(PAGE, found.videos?.length ?? 0));
    const later = setTimeout(
      () =>
        get("/videos", { limit, ...asked }, stop).then(
          ({ videos, next }) => set({ videos, next, failure: null }),
          (error) => stop.signal.aborted || set((before) => ({ ...before, failure: asProblem(error) })),
        ),
      found.videos ? 150 : 0, // typing
    );
    return () => {
      clearTimeout(later);
      stop.abort();
    };
  }, [question, turn, round]);
  const more = async () => {
    try {
      const page = await get("/videos", { limit: PAGE, ...asked, cursor: found.next });
      set((before) => ({ videos: [...(before.videos ?? []), ...page.videos], next: page.next, failure: null }));
    } catch (error) {
      set((before) => ({ ...before, failure: asProblem(error) }));
    }
  };
  return { ...found, more, again: () => count((before) => before + 1) };
}

/** Change one thing of the address. @param {URLSearchParams} params @param {string} name @param {string} value */
function turn(params, name, value) {
  go(link("/", { ...Object.fromEntries(params), [name]: value }), { replace: true, draw: true });
}

/** To the card beside, above or below. @param {Element} card @param {string} key */
function move(card, key) {
  const cards = [...(card.parentElement?.children ?? [])];
  const top = cards[0].getBoundingClientRect().top;
  const columns = cards.filter((one) => one.getBoundingClientRect().top === top).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key] ?? 0;
  cards[cards.indexOf(card) + step]?.querySelector("a")?.focus();
}
