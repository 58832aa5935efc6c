/**
 * Search over all one's videos: what is asked stands in the address; hits by video, each a link to its moment.
 * What belongs here: the form and the hits. What does not: what can be found (`reading/search.py` on the server).
 */
import { get, media } from "./api.js";
import { counted, length, moment, number, percent, seconds } from "./format.js";
import { html, useEffect, useState } from "./html.js";
import { alike, nearest, useLabels } from "./labels.js";
import { asProblem, Empty, Failed } from "./parts.js";
import { go, link } from "./router.js";
import { useShown } from "./shown.js";

/** @typedef {import("./types").Hit} Hit */

const PAGE = 60;
const OFFERED = 12; // labels, if there is none of this name
/** @type {Record<string, {title: string, says: string, asks: string[], sorts: Record<string, string>}>} */
const KINDS = {
  tracks: {
    title: "In view",
    says: "Each person and product, as long as it is in view",
    asks: ["label", "class", "min_seconds", "min_share"],
    sorts: { "": "Longest in view" },
  },
  elements: {
    title: "Replaceable",
    says: "What could be replaced, and how hard that is",
    asks: ["words", "label", "class", "difficulty", "min_seconds", "min_share"],
    sorts: { "": "Easiest first", seconds: "Longest in view" },
  },
  scenes: {
    title: "Scenes",
    says: "What happens, in words",
    asks: ["words", "min_importance", "min_seconds"],
    sorts: { "": "Most important", seconds: "Longest" },
  },
};
/** @type {Record<string, (asks: string[]) => any>} */
const FIELDS = {
  words: () =>
    html`<label class="field wide"><span>Words</span><input type="search" name="words" data-find
      placeholder=${'cups or phones, -dog, "a phrase"'} maxlength="200" /></label>`,
  label: (asks) =>
    html`<label class="field ${asks.includes("words") ? "" : "wide"}"><span>Label</span><input type="search" name="label"
      data-find=${!asks.includes("words")} placeholder="bottle" autocapitalize="none" maxlength="100" list="labels" autocomplete="off" /></label>`,
  class: () => select("class", "Class", { "": "Any", person: "Person", product: "Product" }),
  difficulty: () => select("difficulty", "Difficulty", { "": "Any", easy: "Easy", medium: "Medium", hard: "Hard" }),
  min_seconds: () =>
    html`<label class="field"><span>Seconds at least</span><input type="number" name="min_seconds" min="0" step="any"
      inputmode="decimal" /></label>`,
  min_share: () =>
    html`<label class="field"><span>Share at least, %</span><input type="number" name="min_share" min="0" max="100" step="any"
      inputmode="decimal" /></label>`,
  min_importance: () =>
    html`<label class="field"><span>Importance at least</span><input type="number" name="min_importance" min="1" max="10" /></label>`,
};

/** @param {string} name @param {string} title @param {Record<string, string>} options */
function select(name, title, options) {
  return html`<label class="field"><span>${title}</span><select
    name=${name}>${Object.entries(options).map(([value, words]) => html`<option value=${value}>${words}</option>`)}</select></label>`;
}

/** @param {{params: URLSearchParams}} props */
export function SearchScreen({ params }) {
  const kind = Object.hasOwn(KINDS, params.get("in") ?? "") ? /** @type {string} */ (params.get("in")) : "tracks";
  const { asks, sorts, says } = KINDS[kind];
  const asked = Object.fromEntries([...params].filter(([name, value]) => value && (asks.includes(name) || name === "sort")));
  const question = JSON.stringify([kind, asked]);
  const { hits, next, more, failure } = useHits(kind, asked, question);
  const labels = useLabels(asks.includes("label") ? kind : null);
  const demo = useDemo(hits);
  useShown("Search", demo);

  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const said = /** @type {Record<string, string>} */ (
      Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)))
    );
    if (said.min_share) said.min_share = String(Number(said.min_share) / 100);
    go(link("/search", { in: kind, ...said }));
  };
  const fill = (/** @type {HTMLFormElement | null} */ form) => {
    if (!form || form.dataset.said === question) return;
    form.dataset.said = question;
    for (const field of /** @type {Iterable<HTMLInputElement>} */ (/** @type {unknown} */ (form.elements))) {
      if (!field.name) continue;
      const value = params.get(field.name) ?? "";
      field.value = field.name === "min_share" && value ? String(Math.round(Number(value) * 1000) / 10) : value;
    }
  };
  return html`
    <h1>Search</h1>
    <div class="row tight" role="group" aria-label="What is searched">
      ${Object.entries(KINDS).map(([name, { title }]) => html`<button key=${name} aria-pressed=${name === kind}
        onClick=${() => go(link("/search", { ...kept(params, name), in: name }))}>${title}</button>`)}
      <p class="dim says">${says}</p>
    </div>
    <form class="asked card" role="search" key=${kind} ref=${fill} onSubmit=${submit}>
      ${asks.map((name) => FIELDS[name](asks))}
      ${Object.keys(sorts).length > 1 && select("sort", "Order", sorts)}
      ${
        labels &&
        html`<datalist id="labels">${labels.map(({ label, videos }) => html`<option key=${label} value=${label}
        label=${`${label}, in ${counted(videos, "video")}`} />`)}</datalist>`
      }
      <button class="primary">Search</button>
    </form>
    ${failure && html`<${Failed} failure=${failure} />`}
    ${
      hits &&
      !failure &&
      html`<p class="dim num"
        role="status">${counted(hits.length, "hit")}${next ? " shown" : ""} in ${counted(byVideo(hits).length, "video")}</p>
      ${hits.length === 0 && html`<${Nothing} kind=${kind} asked=${asked} labels=${labels} />`}
      ${byVideo(hits).map(
        ([id, some]) => html`<section key=${id} class="found card">
          <h2 class="row"><a class="grow wrap" href=${link(`/videos/${id}`)}>${some[0].filename}</a><span
            class="dim small num">${counted(some.length, "hit")}</span></h2>
          <ul class=${kind}>${some.map((hit) => html`<${Found} key=${JSON.stringify(keys(hit))} hit=${hit} />`)}</ul>
        </section>`,
      )}
      ${next && html`<div class="row center"><button onClick=${more}>Show more</button></div>`}`
    }
  `;
}

/** @param {{kind: string, asked: Record<string, string>, labels: import("./types").LabelCount[] | null}} props */
function Nothing({ kind, asked, labels }) {
  const { label } = asked;
  if (!label || !labels || labels.some((one) => alike(one.label, label)))
    return html`<${Empty} title="Nothing found"><p>${hint(kind, asked)}</p><//>`;
  const near = nearest(label, labels);
  const offered = (near.length ? near : labels).slice(0, OFFERED);
  return html`<${Empty} title=${`There is no label “${label}”`}>
    ${
      offered.length
        ? html`<p>${near.length ? "Did you mean:" : "There are:"}</p>
          <ul class="row center">${offered.map(
            (one) => html`<li key=${one.label}><a class="button"
          href=${link("/search", { ...asked, in: kind, label: one.label })}>${one.label} <span class="dim num small">${counted(one.videos, "video")}</span></a></li>`,
          )}</ul>`
        : html`<p>${hint(kind, {})}</p>`
    }
  <//>`;
}

/** @param {{hit: Hit}} props */
function Found({ hit }) {
  const [blank, leave] = useState(false);
  const about =
    hit.in === "scenes"
      ? [`importance ${number(hit.importance)}`, length(hit.seconds)]
      : [
          hit.seconds === null ? "never measured" : `${seconds(hit.seconds)} in view`,
          ...(hit.area_share === null ? [] : [`${percent(hit.area_share, 1)} of the picture`]),
        ];
  return html`<li><a class="hit" href=${link(`/videos/${hit.video_id}`, keys(hit))}>
    <div class="poster">${blank ? html`<span class="none" aria-hidden="true">▶</span>` : html`<img src=${media(hit.picture)} alt=""
      loading="lazy" onError=${() => leave(true)} />`}</div>
    <div>
      <p class="row tight"><b>${hit.in === "scenes" ? `Scene ${hit.scene_number}` : hit.label}</b>${hit.in === "elements" && html`<span
        class="tag ${hit.difficulty}">${hit.difficulty}</span>`}</p>
      <p class="num small"><span class="mono">${moment(hit.start_seconds)}</span> <span class="dim">to</span> <span class="mono">${moment(hit.end_seconds)}</span></p>
      <p class="dim small num">${about.join(" · ")}</p>
      ${hit.in !== "tracks" && html`<p class="small wrap">${hit.description}</p>`}
    </div>
  </a></li>`;
}

/** What of an address names the hit's place in its video. @param {Hit} hit */
function keys(hit) {
  const t = number3(hit.start_seconds);
  if (hit.in === "tracks") return { t, track: hit.track_id };
  if (hit.in === "scenes") return { t, scene: hit.scene_number };
  return { t, scene: hit.scene_number, element: hit.element_number, track: hit.track_ids[0] };
}

/** @param {string} kind @param {Record<string, string>} asked @param {string} question */
function useHits(kind, asked, question) {
  const [found, set] = useState(
    /** @type {{hits: Hit[] | null, next: string | null, failure: any}} */ ({ hits: null, next: null, failure: null }),
  );
  useEffect(() => {
    const stop = new AbortController();
    get("/search", { in: kind, limit: PAGE, ...asked }, stop).then(
      ({ hits, next }) => set({ hits, next, failure: null }),
      (error) => stop.signal.aborted || set({ hits: null, next: null, failure: asProblem(error) }),
    );
    return () => stop.abort();
  }, [question]);
  const more = () =>
    get("/search", { in: kind, limit: PAGE, ...asked, cursor: found.next }).then(
      ({ hits, next }) => set((before) => ({ hits: [...(before.hits ?? []), ...hits], next, failure: null })),
      (error) => set((before) => ({ ...before, failure: asProblem(error) })),
    );
  return { ...found, more };
}

/** @type {Map<string, Promise<boolean>>} */
const made = new Map();

/** Whether demonstration models made any of these. A hit does not say it; its video does. @param {Hit[] | null} hits @returns {boolean} */
function useDemo(hits) {
  const [demo, set] = useState(false);
  const ids = [...new Set((hits ?? []).map((hit) => hit.result_id))].join();
  useEffect(() => {
    let meant = true;
    for (const { video_id, result_id } of hits ?? [])
      if (!made.has(result_id))
        made.set(
          result_id,
          get(`/videos/${video_id}`).then(
            (video) => video.demo_models,
            () => false,
          ),
        );
    Promise.all((hits ?? []).map((hit) => made.get(hit.result_id))).then((said) => meant && set(said.includes(true)));
    return () => void (meant = false);
  }, [ids]);
  return demo;
}

/** In the order in which the first hit of each came. @param {Hit[]} hits @returns {[string, Hit[]][]} */
const byVideo = (hits) => [...Map.groupBy(hits, (hit) => hit.video_id)];

/** What stays asked when something else is searched. @param {URLSearchParams} params @param {string} kind */
const kept = (params, kind) => Object.fromEntries([...params].filter(([name]) => KINDS[kind].asks.includes(name)));

/** @param {string} kind @param {Record<string, string>} asked */
function hint(kind, asked) {
  if (!Object.keys(asked).length) return "Upload videos first; they are searched as soon as they are ready.";
  return kind === "tracks" || asked.label ? "Ask for less: fewer seconds, a smaller share." : "Try fewer or other words.";
}

/** @param {number} value */
const number3 = (value) => Math.round(value * 1000) / 1000;
