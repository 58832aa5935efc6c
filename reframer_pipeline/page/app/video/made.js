/**
 * How it was made: models, settings, versions, cost and time of each stage, and what failed.
 *
 * What belongs here: showing it, and asking for it to be run again. What does not: how far a running computation is (`waiting.js`).
 *
 * @typedef {import("./shapes").Made} MadeFacts
 * @typedef {import("./shapes").MadeStage} MadeStage
 */
import { get, send } from "../api.js";
import { counted, date, number, seconds as spent } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { look } from "../jobs.js";
import { asProblem, Failed } from "../parts.js";
import { STAGE } from "../words.js";

/** @type {Record<string, string>} */
const STANDS = { fresh: "up to date", stale: "made with other settings or code", missing: "not made yet", failed: "failed" };

const LOOK_MS = 2000; // between two looks at a run that was asked for here

/**
 * @param {{ id: string, status: string, onrun: () => void, told?: string }} props `status`: of the video; when it is another, this is asked
 *   anew; `told`: the code of a failure that the screen tells already
 */
export function Made({ id, status, onrun, told }) {
  const [made, setMade] = useState(/** @type {MadeFacts | null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    const ended = new AbortController();
    get(`/videos/${id}/made`, {}, { signal: ended.signal }).then(setMade, (error) => ended.signal.aborted || setProblem(asProblem(error)));
    return () => ended.abort();
  }, [id, status, asked]);
  const waits = asked > 0 && made !== null && !made.may_run_again && made.stages.some((one) => one.status !== "fresh");
  useEffect(() => {
    if (!waits) return undefined;
    const timer = setTimeout(() => setAsked(asked + 1), LOOK_MS); // it may begin and fail between two looks at the video
    return () => clearTimeout(timer);
  }, [waits, made]);
  const run = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await send("POST", `/videos/${id}/run`);
      setAsked(asked + 1);
      look();
      onrun();
    } catch (error) {
      setProblem(asProblem(error));
    }
    setBusy(false);
  };
  if (!made) return problem ? html`<${Failed} failure=${problem} />` : html`<p class="v-empty" role="status">Loading …</p>`;
  const verb = made.stages.every((one) => one.status === "missing") ? "Run" : "Run again";
  const seconds = made.stages.reduce((sum, one) => sum + (one.seconds ?? 0), 0);
  return html`<div class="v-list v-made">
    <div class="v-list-tools">
      <span>${counted(made.stages.length, "stage")}${seconds > 0 && `, ${spent(seconds)} of computing`}</span>
      <span class="v-grow"></span>
      <span role="status">${waits && status !== "processing" && "Asked for. It begins when it is its turn."}</span>
      ${made.may_run_again && html`<button type="button" disabled=${busy} onClick=${run}>${busy ? "Asking …" : verb}</button>`}
    </div>
    ${problem && html`<${Failed} failure=${problem} />`}
    ${made.stages.map((one) => html`<${StageFacts} key=${one.stage} stage=${one} told=${told} />`)}
  </div>`;
}

/** @param {{ stage: MadeStage, told?: string }} props */
function StageFacts({ stage, told }) {
  const settings = Object.entries(stage.settings ?? {});
  return html`<section class=${`v-step ${stage.failure ? "failed" : ""}`}>
    <h2>${STAGE[stage.stage] ?? stage.stage} <span class="dim">${STANDS[stage.status] ?? stage.status}</span></h2>
    ${stage.failure && stage.failure.code !== told && html`<${Failed} failure=${stage.failure} />`}
    <dl class="v-facts">
      ${fact("Made", stage.made_at && date(stage.made_at))} ${fact("Took", stage.seconds !== null && spent(stage.seconds, 2))}
      ${fact("Rows", stage.rows !== null && number(stage.rows))} ${fact("Model", stage.model && modelOf(stage.model))}
      ${fact("Code version", stage.code_version)} ${fact("Cost", stage.cost && costOf(/** @type {any} */ (stage.cost)))}
      ${fact("Result", stage.result_id)}
    </dl>
    ${settings.length > 0 &&
    html`<details><summary>${counted(settings.length, "setting")}</summary>
      <dl class="v-facts">${settings.map(([name, value]) => fact(name, plain(value)))}</dl></details>`}
  </section>`;
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function fact(name, value) {
  return value !== null && value !== undefined && value !== false && value !== "" && html`<dt>${name}</dt><dd>${value}</dd>`;
}

/** @param {Record<string, unknown>} model its name, and the beginning of its digest */
function modelOf({ name, digest }) {
  return html`${name}${typeof digest === "string" && html` <span class="mono dim" title=${digest}>${digest.slice(0, 12)}</span>`}`;
}

/** @param {{ usd: number, requests: number, input_tokens: number, output_tokens: number }} cost */
function costOf({ usd, requests, input_tokens, output_tokens }) {
  const money = number(usd, { style: "currency", currency: "USD", maximumFractionDigits: 4 });
  return `${money}: ${counted(requests, "request")}, ${counted(input_tokens + output_tokens, "token")}`;
}

/** @param {unknown} value */
function plain(value) {
  if (Array.isArray(value)) return value.join(", ") || "none";
  if (value === null || value === "") return "none";
  if (typeof value === "number") return number(value, { maximumFractionDigits: 6 });
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
