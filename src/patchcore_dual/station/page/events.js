// Server-sent events, with what a wall display needs: it notices a lost connection, also one that
// dies silently, says so, comes back by itself, and has views fetch anew what they missed.

const KINDS = ["inspection", "decision", "edit", "state"];
const SILENCE = 10_000; // ms without an event after which the station is asked whether it is there
const ANSWER = 4_000; // ms that it has to answer
const FIRST_WAIT = 500; // ms before a new connection; doubles up to the longest
const LONGEST_WAIT = 5_000;

/** Listeners: "inspection", "decision", "edit", "state" with the data; "connection" with a word. */
const listeners = new Map();
let source = null;
let connection = "connecting"; // "connected" | "lost"
let lastHeard = 0;
let wait = FIRST_WAIT;
let retry = 0;
let watchdog = 0;

/** Listen to a kind of event; returns what stops it. */
export function on(kind, callback) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(callback);
  return () => listeners.get(kind).delete(callback);
}

/** "connecting", "connected" or "lost". */
export function connectionState() {
  return connection;
}

/** Open the connection; a former one is closed. */
export function connect() {
  disconnect();
  open();
  watchdog = setInterval(checkSilence, SILENCE / 4);
}

/** Close the connection for good, as on logging out. */
export function disconnect() {
  clearInterval(watchdog);
  clearTimeout(retry);
  source?.close();
  source = null;
}

function emit(kind, data) {
  for (const callback of listeners.get(kind) ?? []) callback(data);
}

function open() {
  source?.close();
  source = new EventSource("/v1/events");
  const mine = source;
  mine.onopen = () => heard(mine);
  mine.onmessage = () => heard(mine);
  mine.onerror = () => mine === source && lose();
  for (const kind of KINDS) {
    mine.addEventListener(kind, (event) => {
      heard(mine);
      if (mine === source) emit(kind, JSON.parse(event.data));
    });
  }
}

function heard(from) {
  if (from !== source) return;
  lastHeard = Date.now();
  wait = FIRST_WAIT;
  become("connected");
}

function lose() {
  become("lost");
  source?.close();
  clearTimeout(retry);
  retry = setTimeout(open, wait);
  wait = Math.min(2 * wait, LONGEST_WAIT);
}

function become(state) {
  if (state === connection) return;
  connection = state;
  emit("connection", state);
}

async function checkSilence() {
  if (connection !== "connected" || Date.now() - lastHeard < SILENCE) return;
  try {
    const answer = await fetch("/healthz", { signal: AbortSignal.timeout(ANSWER), cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    lastHeard = Date.now();
  } catch {
    lose();
  }
}
