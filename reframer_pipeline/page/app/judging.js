/**
 * What can be known of a file before it is sent: its size and its first bytes.
 * What belongs here: the refusals that the server would answer with anyway, told at once. Its own word counts in any case
 * (`reframer_pipeline/media/containers.py`; a test holds both to the same judgement).
 */
import { url } from "./api.js";
import { bytes } from "./format.js";

const HEAD = 12;
const FIRST_BOXES = new Set(["ftyp", "moov", "mdat", "wide", "free", "skip", "pnot", "styp", "uuid"]);
const STILL_IMAGES = new Set(["avif", "avis", "heic", "heix", "mif1", "msf1", "crx "]);

/** Whether these first bytes begin an mp4, mov or avi file. @param {Uint8Array} head @returns {boolean} */
export function isVideo(head) {
  const text = (/** @type {number} */ from) => String.fromCharCode(...head.subarray(from, from + 4));
  if (text(0) === "RIFF") return text(8) === "AVI " || text(8) === "AVIX";
  return FIRST_BOXES.has(text(4)) && !STILL_IMAGES.has(text(8));
}

/**
 * Why a file cannot be taken, or null. @param {File} file @returns {Promise<import("./types").Failure | null>}
 */
export async function judge(file) {
  let head;
  try {
    head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  } catch {
    return { code: "file_not_readable", message: `${file.name} cannot be read.`, remedy: "If it is a folder, drop the files in it." };
  }
  if (!file.size) return { code: "not_a_video", message: `${file.name} is empty.`, remedy: "Export it again, and look whether it plays." };
  if (!isVideo(head))
    return {
      code: "not_a_video",
      message: `${file.name} is no mp4, mov or avi file, whatever its name says.`,
      remedy: "Convert it to H.264 in mp4, then drop it again.",
    };
  const most = await largest();
  if (file.size > most)
    return {
      code: "file_too_large",
      message: `${file.name} has ${bytes(file.size)}. This server takes up to ${bytes(most)}.`,
      remedy: "Export it smaller, or in parts. Whoever runs the server can allow more.",
    };
  return null;
}

/** @type {Promise<number> | null} */
let limit = null;

/** How many bytes the server takes; without its word, any number. @returns {Promise<number>} */
function largest() {
  limit ??= fetch(url("/uploads"), { method: "OPTIONS" }).then(
    (answer) => Number(answer.headers.get("Tus-Max-Size")) || Infinity,
    () => ((limit = null), Infinity),
  );
  return limit;
}
