/**
 * Talking to the API: JSON, pages of rows, addresses of media.
 * What belongs here: how a request is made and how its failure is told. What does not: who signs in (`session`), what is asked for.
 *
 * Paths are given without `/v1`; one that the API itself named, such as `/v1/videos/ID/poster.jpg`, will do as well.
 */

/** What went wrong, as the API says it (`application/problem+json`). Trouble with the network has the code "offline". */
export class Problem extends Error {
  /** @param {{code: string, title: string, detail?: string, remedy?: string, status?: number, request_id?: string}} said */
  constructor({ code, title, detail = "", remedy = "", status = 0, request_id = "" }) {
    super(detail || title);
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.remedy = remedy;
    this.status = status;
    this.requestId = request_id;
  }

  /** Of an answer's body. @param {number} status @param {string} body @returns {Problem} */
  static of(status, body) {
    try {
      const said = JSON.parse(body);
      if (typeof said.code === "string") return new Problem(said);
    } catch {
      // not ours: a proxy's page, say
    }
    return new Problem({ code: `http_${status}`, title: `The server answered ${status}.`, remedy: "Try again later.", status });
  }
}

export const OFFLINE = new Problem({
  code: "offline",
  title: "The server cannot be reached.",
  remedy: "Check the connection, and that the server runs. This page goes on by itself.",
});

const KEY = "reframer.key";
const MOST_ROWS = 2000;
let address = new URL("/v1", location.href);
let ticket = "";
/** @type {() => void} */
let refused = () => {};

/** Read where the API is: `config.json` beside the page. Call it once, first. @returns {Promise<void>} */
export async function configure() {
  const config = await (await fetch("config.json", { cache: "no-cache" })).json();
  address = new URL(`${String(config.api || "").replace(/\/+$|\/v1\/*$/g, "")}/v1`, location.href);
}

/** Whether the API is of this page's own origin, so that a cookie signs in. */
export const sameOrigin = () => address.origin === location.origin;

/** The host that answers, for people. */
export const host = () => address.host;

/** The key that was typed in on another origin: it is kept for this tab alone. */
export const key = () => (sameOrigin() ? null : sessionStorage.getItem(KEY));

/** @param {string | null} secret */
export function rememberKey(secret) {
  if (secret === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, secret);
}

/** What lets pictures and films in, which send no header. @param {string} given */
export const rememberTicket = (given) => void (ticket = given);

/** What is done when nobody is signed in any more. @param {() => void} act */
export const whenRefused = (act) => void (refused = act);

/** What goes with every request. @returns {Record<string, string>} */
export function credentials() {
  const secret = key();
  return secret ? { "X-API-Key": secret } : {};
}

/**
 * The address of a path, with parameters; null, "" and undefined are left out, lists are given several times.
 * @param {string} path @param {Record<string, unknown>} [params] @returns {string}
 */
export function url(path, params = {}) {
  const whole = new URL(`${address.href}${path.replace(/^\/v1(?=\/)/, "")}`);
  for (const [name, value] of Object.entries(params))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== null && one !== undefined && one !== "") whole.searchParams.append(name, String(one));
  return whole.href;
}

/**
 * JSON. @param {string} path @param {Record<string, unknown>} [params] @param {{signal?: AbortSignal}} [options] @returns {Promise<any>}
 * @throws {Problem}
 */
export async function get(path, params, { signal } = {}) {
  return (await ask(url(path, params), { signal })).json();
}

/**
 * Change something. @param {string} method @param {string} path @param {unknown} [body] a file as it is, anything else as JSON
 * @param {{headers?: Record<string, string>, signal?: AbortSignal}} [options] @returns {Promise<any>} JSON, or null
 * @throws {Problem}
 */
export async function send(method, path, body, { headers = {}, signal } = {}) {
  const asIs = body === undefined || body instanceof Blob;
  /** @type {Record<string, string>} */
  const typed = asIs ? {} : { "Content-Type": "application/json" };
  const answer = await ask(url(path), {
    method,
    signal,
    headers: { ...typed, ...headers },
    body: asIs ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

/**
 * All pages of a list. @param {string} path @param {Record<string, unknown>} [params]
 * @param {{signal?: AbortSignal}} [options] @returns {AsyncGenerator<any, void>}
 */
export async function* pages(path, params, options) {
  let cursor = null;
  do {
    const page = await get(path, { limit: MOST_ROWS, ...params, cursor }, options);
    yield page;
    cursor = page.next;
  } while (cursor);
}

/** The address for `src` or a download. @param {string} path @param {Record<string, unknown>} [params] @returns {string} */
export function media(path, params = {}) {
  return url(path, sameOrigin() ? params : { ...params, ticket });
}

/** @param {string} whole @param {RequestInit} options @returns {Promise<Response>} */
async function ask(whole, options) {
  let answer;
  try {
    answer = await fetch(whole, {
      credentials: sameOrigin() ? "same-origin" : "omit",
      ...options,
      headers: { ...credentials(), ...options.headers },
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw OFFLINE;
  }
  if (answer.ok) return answer;
  const problem = Problem.of(answer.status, await answer.text());
  if (answer.status === 401) refused();
  throw problem;
}
