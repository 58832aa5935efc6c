/**
 * The video screen: film, timeline, and what was found, side by side.
 *
 * What belongs here: layout. What does not: loading (`loading.js`), the address (`address.js`), what the parts do (`room.js` and they
 * themselves).
 *
 * @typedef {import("./shapes").Video} Video
 * @typedef {import("./exports.js").Part} Part
 * @typedef {{ room: Room, toExport: import("./exports.js").ToExport, toMake: import("./making.js").ToMake }} Shared what each list gets
 */
import { copy } from "../clipboard.js";
import { counted, length, number, percent } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { unfinished } from "../jobs.js";
import { Failed } from "../parts.js";
import { may } from "../session.js";
import { shown, useShown } from "../shown.js";
import { useStore } from "../store.js";
import { hashOf, keepAddress } from "./address.js";
import { Takeover } from "./cvat.js";
import { ForEditing } from "./editing.js";
import { Elements } from "./elements.js";
import { Export } from "./exports.js";
import { Hand } from "./hand.js";
import { Help } from "./help.js";
import { listen } from "./keys.js";
import { CHOICES } from "./lists.js";
import { Loading } from "./loading.js";
import { Made } from "./made.js";
import { Matte } from "./matte.js";
import { Reframe } from "./reframe.js";
import { Review } from "./review.js";
import { Room } from "./room.js";
import { Scenes } from "./scenes.js";
import { Timeline } from "./timeline.js";
import { Tracks } from "./tracks.js";
import { Transport } from "./transport.js";
import { verbsOf } from "./verbs.js";
import { Progress, useJob, Waiting } from "./waiting.js";

const SAID_MS = 2500; // how long it is said that an address was copied

/** @param {{ id: string }} props */
export function VideoScreen({ id }) {
  const loading = useMemo(() => new Loading(id), [id]);
  const hand = useMemo(() => new Hand(loading), [loading]);
  useEffect(() => loading.begin(), [loading]);
  const { video, loaded, problem } = useStore(loading.known);
  useShown(video?.filename ?? "Video", video?.demo_models);
  const [exporting, toExport] = useState(/** @type {Part | null} */ (null));
  const look = () => void loading.look();
  const before = useRef(/** @type {Room | null} */ (null));
  return html`<div class="v-screen" onClick=${leave}>
    ${video && html`<${Head} video=${video} loaded=${loaded} hand=${hand} toExport=${toExport} />`}
    ${problem && !loaded && html`<${Failed} failure=${problem}><div class="row"><button type="button" onClick=${look}>Try again</button>
      <a class="button" href="#/">To the library</a></div><//>`}
    ${video && !video.result_id && html`<${Waiting} video=${video} reload=${look} />`}
    ${!problem && !loaded && (!video || video.result_id) && html`<p class="v-empty" role="status">Loading …</p>`}
    ${loaded && html`<${Desk} key=${loaded.results.video.result_id} loaded=${loaded} hand=${hand} before=${before}
      status=${video?.status} reload=${look} exporting=${exporting} toExport=${toExport} />`}
  </div>`;
}

/** @param {{ video: Video, loaded: import("./loading.js").Loaded | null, hand: Hand, toExport: (part: Part) => void }} props */
function Head({ video, loaded, hand, toExport }) {
  const job = useJob(video);
  const computing = unfinished(video);
  const corrected = useStore(hand.state, (state) => hand.news(state));
  const [importing, toImport] = useState(false);
  const news = corrected || (loaded?.renewed && !computing && "It was computed anew or corrected. These are the new results.");
  const facts = [
    video.width && `${video.width} × ${video.height}`,
    video.fps && `${number(video.fps, { maximumFractionDigits: 3 })} fps`,
    video.duration !== null && length(video.duration),
    video.codec,
  ].filter(Boolean);
  return html`<header class="v-head">
    <a href="#/" title="Library" aria-label="Back to the library">‹</a>
    <h1>${video.filename}</h1>
    <span class="dim">${facts.join("  ·  ")}</span>
    <span class="v-grow"></span>
    <span role="status">${video.result_id && [news, computing && "Being computed anew"].filter(Boolean).join(" ")}</span>
    ${video.result_id && computing && html`<${Progress} job=${job} />`}
    ${video.result_id && video.status === "failed" && html`<span class="v-chip hard"
      title=${video.failure_message ?? ""}>last run failed: ${video.failure_code}</span>`}
    ${loaded && html`<div class="v-group">
      ${may("write") && html`<button type="button" data-hand="cvat" onClick=${() => toImport(true)}>Import…</button>`}
      <button type="button" onClick=${() => toExport("film")}>Export…</button></div>`}
    ${importing && html`<${Takeover} hand=${hand} close=${() => toImport(false)} />`}
  </header>`;
}

/**
 * @param {{ loaded: import("./loading.js").Loaded, hand: Hand, before: { current: Room | null }, status: string, reload: () => void,
 *   exporting: Part | null, toExport: (part: Part | null) => void }} props `before`: the room of the results that these took the place of;
 *   `status`: of the video, now
 */
function Desk({ loaded, hand, before, status, reload, exporting, toExport }) {
  const { results, times } = loaded;
  const stage = /** @type {{ current: HTMLElement }} */ (useRef(/** @type {any} */ (null)));
  const canvas = /** @type {{ current: HTMLCanvasElement }} */ (useRef(/** @type {any} */ (null)));
  const room = useMemo(() => {
    const made = new Room(loaded, hand, reload);
    if (before.current) made.selection.like(before.current.selection, hand.state.value.busy);
    return (before.current = made);
  }, []);
  const remote = useMemo(() => /** @type {{ zoom?: (steps: number) => void }} */ ({}), []);
  const [helping, help] = useState(false);
  const [making, toMake] = useState(/** @type {import("./making.js").Making | null} */ (null));
  const [said, say] = useState("");
  const quiet = useRef(0);
  const does = useMemo(() => /** @type {Record<string, () => void>} */ ({
    ...verbsOf(room),
    closer: () => remote.zoom?.(1),
    farther: () => remote.zoom?.(-1),
    whole: () => remote.zoom?.(-100),
    help: () => help(true),
    copy: async () => {
      const copied = await copy(new URL(hashOf(results.video.video_id, room.place), location.href).href);
      say(copied ? "The address of this moment was copied." : "Copy it from the address bar.");
      clearTimeout(quiet.current);
      quiet.current = window.setTimeout(() => say(""), SAID_MS);
    },
  }), []);
  useEffect(() => {
    const ends = [room.mount(stage.current, canvas.current), keepAddress(room), listen(does)];
    shown.change({ help: does.help });
    hand.give();
    return () => (shown.change({ help: null }), ends.forEach((end) => end()));
  }, []);
  const { width, height } = room.size;
  return html`<div class="v-desk">
    <section class="v-film" aria-label="Film">
      <div class="v-stage" ref=${stage} style=${{ "--aspect": width / height }}>
        <${Picture} room=${room} canvas=${canvas} />
      </div>
      <${Transport} player=${room.player} times=${times} selection=${room.selection} does=${does} said=${said} />
    </section>
    <${Panel} room=${room} toExport=${toExport} toMake=${toMake} status=${status} reload=${reload} />
    <${Timeline} results=${results} times=${times} player=${room.player} selection=${room.selection} remote=${remote} />
    ${helping && html`<${Help} close=${() => help(false)} />`}
    ${exporting && html`<${Export} room=${room} part=${exporting} close=${() => toExport(null)} />`}
    ${making && html`<${making.kind === "matte" ? Matte : Reframe} room=${room} of=${making.of} close=${() => toMake(null)} />`}
  </div>`;
}

/**
 * A button that was clicked does not keep the keyboard: space goes on meaning "play".
 * @param {MouseEvent} event
 */
function leave(event) {
  if (event.detail && event.target instanceof Element) event.target.closest("button")?.blur();
}

/** The overlay, and what is said while there is no picture. @param {{ room: Room, canvas: { current: HTMLCanvasElement } }} props */
function Picture({ room, canvas }) {
  const film = useStore(room.film.state, (state) => state);
  const hover = useStore(room.selection.view, (view) => view.hover);
  const at = (/** @type {MouseEvent} */ event) => {
    const { left, top } = canvas.current.getBoundingClientRect();
    return room.overlay?.under(event.clientX - left, event.clientY - top)?.track_id ?? null;
  };
  return html`<canvas ref=${canvas} class="v-overlay" role="img" aria-label="What was found in this frame"
    style=${{ cursor: hover ? "pointer" : "default" }}
      onPointerMove=${(/** @type {PointerEvent} */ event) => room.selection.hover(at(event))}
      onPointerLeave=${() => room.selection.hover(null)}
      onClick=${(/** @type {MouseEvent} */ event) => room.selection.track(at(event))}></canvas>
    ${film.problem && html`<div class="v-veil"><${Failed} failure=${film.problem}><div><button type="button"
      onClick=${() => room.film.open()}>Try again</button></div><//></div>`}
    ${film.progress !== null && html`<div class="v-veil" role="status">
      ${film.why && html`<p>${film.why}</p>`}
      <p>Making one that it can: ${percent(film.progress)}</p><progress max="1" value=${film.progress} aria-label="Progress"></progress>
    </div>`}`;
}

const TABS = Object.entries(CHOICES.tab);

/** @param {Shared & { status: string, reload: () => void }} props */
function Panel({ room, toExport, toMake, status, reload }) {
  const tab = useStore(room.lists, (lists) => lists.tab);
  const doubts = useStore(room.doubts.known, (known) => known.all.length);
  const idOf = (/** @type {string} */ name) => `v-tab-${name || "elements"}`;
  const turn = (/** @type {KeyboardEvent} */ event) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const [next] = TABS[(TABS.findIndex(([one]) => one === tab) + by + TABS.length) % TABS.length];
    room.lists.change({ tab: next });
    document.getElementById(idOf(next))?.focus();
  };
  const shared = { room, toExport, toMake };
  return html`<section class="v-panel" aria-label="What was found">
    <div class="v-tabs" role="tablist" onKeyDown=${turn}>
      ${TABS.map(([one, words]) => html`<button type="button" role="tab" id=${idOf(one)} aria-selected=${tab === one}
        aria-controls="v-tabpanel" tabindex=${tab === one ? 0 : -1} title=${words} onClick=${() => room.lists.change({ tab: one })}>
        ${words}${one === "review" && doubts > 0 && html` <span class="v-count"
          title=${`${counted(doubts, "doubt")} to look at first`}>${number(doubts)}</span>`}</button>`)}
    </div>
    <div class="v-tabpanel" id="v-tabpanel" role="tabpanel" aria-labelledby=${idOf(tab)}>
      ${tab === "" && html`<${Elements} ...${shared} />`}
      ${tab === "scenes" && html`<${Scenes} ...${shared} />`}
      ${tab === "tracks" && html`<${Tracks} ...${shared} />`}
      ${tab === "review" && html`<${Review} room=${room} />`}
      ${tab === "editing" && html`<${ForEditing} ...${shared} />`}
      ${tab === "made" && html`<${Made} id=${room.results.video.video_id} status=${status} onrun=${reload} />`}
    </div>
  </section>`;
}
