// Numbers, shares and times as they are shown.

import { t } from "./texts.js";

const DASH = "–";
const language = () => document.documentElement.lang || "en";

/** A score or threshold, with as many digits as tell it from its neighbours. */
export function score(value) {
  if (value === null || value === undefined) return DASH;
  if (!Number.isFinite(value)) return "∞";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const fixed = Math.abs(value) < 0.01 && value !== 0 ? value.toPrecision(2) : value.toFixed(digits);
  return fixed.replace("-", "−");
}

/** A share of 0 to 1 in per cent. */
export function percent(share) {
  if (share === null || share === undefined) return DASH;
  const value = 100 * share;
  if (value > 0 && value < 0.01) return "<0.01 %";
  if (value > 0 && value < 0.1) return `${value.toPrecision(1)} %`;
  const fixed = value.toFixed(1);
  return `${value < 10 ? fixed : fixed.replace(/\.0$/, "")} %`;
}

/** The same without decimals, for recall. */
export function share(value) {
  return value === null || value === undefined ? DASH : `${Math.round(100 * value)} %`;
}

/** A whole number with separators. */
export function count(value) {
  return new Intl.NumberFormat(language()).format(value ?? 0);
}

/** The time of day, with the date where it is another day than today. */
export function time(iso) {
  const at = new Date(iso);
  const clock = at.toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? clock : `${at.toLocaleDateString(language(), { day: "numeric", month: "short" })} ${clock}`;
}

/** Date and time to the minute. */
export function dateTime(iso) {
  return new Date(iso).toLocaleString(language(), {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false,
  });
}

/** A text of the station without the ids that it puts before the names of images. */
export function withoutIds(text) {
  return text.replace(/\bstation\/[0-7][0-9A-Z]{25}-(?=\S)/gi, "");
}

/** Bytes in GB. */
export function gigabytes(bytes) {
  return t("format.gigabytes", { value: (bytes / 1e9).toFixed(1) });
}
