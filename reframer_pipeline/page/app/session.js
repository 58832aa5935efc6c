/**
 * Who is signed in, and how one comes in: a cookie on the API's own origin; on another host a key, kept for this tab alone, and tickets for
 * pictures and films, which send no header.
 * What belongs here: that state. What does not: the screen (`signin`), requests (`api`).
 */
import { configure, get, key, Problem, rememberKey, rememberTicket, sameOrigin, send } from "./api.js";
import { Store } from "./store.js";

/** Who is signed in, or null. */
export const me = new Store(/** @type {import("./types").Me | null} */ (null));

let renewal = 0;

/** Whether who is signed in may do this. @param {import("./types").Scope} scope @returns {boolean} */
export const may = (scope) => me.value?.scopes.includes(scope) ?? false;

/** Come in with what the browser has kept. @returns {Promise<void>} @throws {Problem} the API does not answer */
export async function restore() {
  await configure();
  if (!sameOrigin() && !key()) return;
  try {
    await enter();
  } catch (error) {
    if (!(error instanceof Problem && error.status === 401)) throw error;
    rememberKey(null);
  }
}

/** Come in with a key. @param {string} secret @returns {Promise<void>} @throws {Problem} */
export async function signIn(secret) {
  if (sameOrigin()) await send("POST", "/session", undefined, { headers: { "X-API-Key": secret } });
  else rememberKey(secret);
  try {
    await enter();
  } catch (error) {
    rememberKey(null);
    throw error;
  }
}

/** Go. @returns {Promise<void>} @throws {Problem} */
export async function signOut() {
  if (sameOrigin()) await send("DELETE", "/session");
  left();
}

/** Forget who was here. */
export function left() {
  rememberKey(null);
  rememberTicket("");
  clearTimeout(renewal);
  me.set(null);
}

async function enter() {
  const who = await get("/me");
  if (!sameOrigin() && who.scopes.includes("read")) await renewTicket();
  me.set(who);
}

async function renewTicket() {
  const { ticket, expires_at } = await send("POST", "/tickets");
  rememberTicket(ticket);
  const left = Date.parse(expires_at) - Date.now();
  renewal = setTimeout(() => renewTicket().catch(() => void (renewal = setTimeout(renewTicket, 30_000))), Math.max(10_000, left * 0.75));
}
