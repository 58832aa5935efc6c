/**
 * Numbers, times and bytes in the reader's own way.
 * What belongs here: text made of one value. What does not: elements.
 */
const locale = navigator.languages?.length ? [...navigator.languages] : undefined;
/** @type {Map<string, Intl.NumberFormat>} */
const formats = new Map();

/** @param {number} value @param {Intl.NumberFormatOptions} [options] @returns {string} */
export function number(value, options = {}) {
  const name = JSON.stringify(options);
  let format = formats.get(name);
  if (!format) formats.set(name, (format = new Intl.NumberFormat(locale, options)));
  return format.format(value);
}

/** @param {number} share 0 to 1 @param {number} [digits] @returns {string} */
export const percent = (share, digits = 0) => number(share, { style: "percent", maximumFractionDigits: digits });

/** Seconds as `2.4 s`. @param {number} value @param {number} [digits] @returns {string} */
export const seconds = (value, digits = 1) =>
  number(value, { style: "unit", unit: "second", unitDisplay: "short", maximumFractionDigits: digits });

/** @param {number} value @returns {string} */
export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return number(value, { style: "unit", unit: units[at], unitDisplay: "short", maximumFractionDigits: value < 10 && at ? 1 : 0 });
}

/** A length: `0:09`, `1:02:33`. @param {number} value seconds @returns {string} */
export function length(value) {
  const whole = Math.round(value);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return (h ? [h, pad(m), pad(s)] : [m, pad(s)]).join(":");
}

/** A moment of a film to the hundredth: `0:04.21`. @param {number} value seconds @returns {string} */
export function moment(value) {
  const hundredths = Math.floor(value * 100 + 1e-6);
  return `${length(Math.floor(hundredths / 100))}.${pad(hundredths % 100)}`;
}

/** Some time that is left, roughly: `about 3 min`. @param {number} value seconds @returns {string} */
export function about(value) {
  const [amount, unit] =
    value < 90
      ? [Math.max(5, Math.ceil(value / 5) * 5), "second"]
      : value < 5400
        ? [Math.ceil(value / 60), "minute"]
        : [Math.round(value / 360) / 10, "hour"];
  return `about ${number(amount, { style: "unit", unit, unitDisplay: "short" })}`;
}

const days = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const ago = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

/** @param {string} iso @returns {string} */
export const date = (iso) => days.format(new Date(iso));

/** `5 minutes ago`; a date if it is longer than a week. @param {string} iso @returns {string} */
export function since(iso) {
  const passed = (Date.now() - Date.parse(iso)) / 1000;
  if (passed < 45) return "just now";
  if (passed < 3600) return ago.format(-Math.round(passed / 60), "minute");
  if (passed < 86400) return ago.format(-Math.round(passed / 3600), "hour");
  return passed < 604800 ? ago.format(-Math.round(passed / 86400), "day") : date(iso);
}

/** @param {number} count @param {string} one @param {string} [many] @returns {string} */
export const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** @param {number} value @returns {string} */
const pad = (value) => String(value).padStart(2, "0");
