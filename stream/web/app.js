/** The page at /: opens the session, hands it to the panels, follows the server. */

import { ApiError, createSession, listPresets, SessionApi, ticketsOf } from "./api.js";
import { setUpDeck } from "./deck.js";
import { setUpEdit } from "./edit.js";
import { setUpExchange } from "./exchange.js";
import { setUpFigures } from "./figures.js";
import { setUpFullScreen } from "./fullscreen.js";
import { setUpKeeping } from "./keep.js";
import { setUpKeys } from "./keys.js";
import { Live } from "./live.js";
import { setUpLayers } from "./layers.js";
import { setUpLooks } from "./looks.js";
import { PaintPanel } from "./paint.js";
import { setUpPresets } from "./presets.js";
import { setUpRecording } from "./recording.js";
import { setUpReference } from "./reference.js";
import { setUpSharing } from "./share.js";
import { setUpSplit } from "./split.js";
import { createStore, recall, remember, sessionFromAddress } from "./state.js";
import { createStatus } from "./status.js";
import { setUpStickers } from "./stickers.js";
import { setUpStrip } from "./strip.js";
import { setUpUndo } from "./undo.js";
import { setUpVirtualCamera } from "./virtual.js";
import { setUpWords } from "./words.js";

const LOG_KEPT = 40;
const byId = (id) => document.getElementById(id);
const status = createStatus(byId("status"));
const store = createStore({
  server: "connecting", // "connecting" | "up" | "down"
  ending: false, // this page ends the session itself
  api: null, // SessionApi of the session, null before the first action
  state: null, // the session as the server last told it
  stats: null, // the server's live figures
  log: [], // what happened to the references, oldest first
  presets: null,
  source: "none", // "none" | "camera" | "demo" | "remote"
  sending: "closed", // state of the Link that carries the camera
  receiving: "closed", // state of the Link that brings the edited view
  view: recall("view", "split"), // "split" | "side" | "edited"
  mirror: recall("mirror", false),
  cameras: [],
  deviceId: recall("deviceId", ""),
  microphone: false,
  tab: "presets",
  taking: false,
});
let line = null; // to the server's events

/** Keep to a session: remember it, follow its events. */
function adopt(session, state) {
  remember("session", session);
  status.clear("session");
  const api = new SessionApi(session, () => paint.settle());
  store.set({ api, state });
  listen(api);
  return api;
}

function listen(api) {
  line?.close();
  line = api.listen(receive, hear, sessionLost);
}

function receive(message) {
  if (message.type === "stats") {
    store.set({ stats: { ...message, at_ms: performance.now() } });
  } else if (message.type === "state") {
    const { type, ...state } = message;
    store.set({ state: state.state ?? state });
  } else if (message.type === "log") {
    const before = message.all ? [] : store.values.log;
    store.set({ log: [...before, ...message.entries].slice(-LOG_KEPT) });
  } else if (message.type === "event") {
    const speak = { error: status.fail, warning: status.warn }[message.level] ?? status.say;
    speak("server-event", message.text);
  }
}

/** The server's events can be heard, or not any more. */
function hear(up, error) {
  const wasDown = store.values.server === "down";
  store.set(up ? { server: "up" } : { server: "down", stats: null });
  if (up) {
    for (const key of ["server", "server-event"]) status.clear(key);
    if (wasDown) live.recover();
  }
  if (!error) return;
  status.clear("server-event"); // its last word was good-bye
  status.fail("server", error.message, `${error.hint} Trying again.`);
}

function forget() {
  line?.close();
  line = null;
  remember("session", null);
  store.set({ api: null, state: null, stats: null, log: [] });
}

/** Ask the user for the server's token. Null if they cancel. */
function askServerToken() {
  const dialog = byId("server-token");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(byId("server-token-value").value || null), { once: true });
  });
}

/** The session's interface. Opens a session if there is none. Null if that failed; the user was told then. */
async function ensure() {
  if (store.values.api) return store.values.api;
  let serverToken = recall("serverToken");
  for (;;) {
    try {
      const session = await createSession(serverToken);
      return adopt(session, await new SessionApi(session).state());
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status !== 401) {
        status.fail("session", error);
        return null;
      }
    }
    serverToken = await askServerToken();
    remember("serverToken", serverToken);
    if (serverToken === null) return null;
  }
}

/** Continue the session from the address, or the one kept from before the reload. */
async function resume() {
  const handed = sessionFromAddress();
  const kept = handed ?? recall("session");
  if (!kept) return;
  try {
    const state = await new SessionApi(kept).state();
    if (!state.viewer) throw new ApiError("This link may watch but not control.", { status: 403 });
    adopt(ticketsOf({ ...state, token: kept.token }), state);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 0 || error.status >= 500) throw error;
    remember("session", null);
    if (handed) status.fail("session", error);
    else status.warn("session", "Your last session has ended.", "Start the camera to open a new one.");
  }
}

/** End the session and "keep" or "delete" its recordings. Returns what remains, or null if it failed. */
async function endSession(recordings) {
  const { api } = store.values;
  store.set({ ending: true });
  await live.hangUp();
  line?.close(); // the server closes it as it ends the session, and nothing must ask why
  const ended = await status.attempt("session", () => api.end(recordings));
  if (ended) forget();
  else listen(api);
  store.set({ ending: false });
  return ended?.remains ?? null;
}

async function sessionLost() {
  if (!store.values.api || store.values.ending) return;
  forget();
  hear(true);
  await live.stop();
  status.clearAll(); // whatever failed failed of this
  const why = "It was ended elsewhere, or the server restarted without it. Start again.";
  status.fail("session", "The session has ended.", why);
}

function showSteps({ state, source }) {
  const done = {
    camera: source !== "none",
    reference: Boolean(state?.reference),
    edit: Boolean(state?.edit),
  };
  const now = Object.keys(done).find((step) => !done[step]) ?? null;
  for (const [step, isDone] of Object.entries(done)) {
    const link = document.querySelector(`[data-step="${step}"]`);
    const word = isDone ? "done" : step === now ? "now" : "later";
    link.dataset.progress = byId(step).dataset.progress = word;
    link.querySelector("[data-said]").textContent = isDone ? ", done" : "";
    if (step === now) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  }
}

function showServer({ server, sending, source }) {
  const words = {
    up: source === "none" ? ["Ready", "ok"] : ["Live", "ok"],
    down: ["Server unreachable", "error"],
    connecting: ["Connecting", "off"],
  };
  let [text, level] = words[server];
  if (server === "up" && source === "camera" && sending !== "connected") {
    [text, level] = sending === "retrying" ? ["Reconnecting", "warn"] : ["Connecting", "off"];
  }
  byId("server-state").textContent = text;
  byId("server-state").dataset.level = level;
}

function showReason({ stats, state, source }) {
  let text = "";
  if (source === "none") text = "";
  else if (state?.comparing) text = "the live picture, to compare";
  else if (state?.edit && !state.edit.enabled) text = "off, the live picture";
  else if (state?.edit && stats?.reason) text = `live picture: ${stats.reason}`;
  else if (!state?.edit) text = state?.reference ? "no edit yet" : "no reference yet";
  byId("reason").textContent = text;
}

function setUpView(live) {
  const compare = byId("compare");
  const split = setUpSplit(compare, byId("divider"), (percent) => remember("split", percent));
  split.move(recall("split", 50));
  for (const input of document.querySelectorAll('input[name="view"]')) {
    input.addEventListener("change", () => store.set({ view: input.value }));
  }
  store.watch(["view", "mirror", "source"], ({ view, mirror, source }) => {
    compare.dataset.view = view;
    compare.dataset.mirror = String(mirror);
    compare.dataset.empty = String(source === "none");
    byId("empty").hidden = source !== "none";
    byId("divider").hidden = view !== "split" || source === "none";
    byId("mirror").setAttribute("aria-pressed", String(mirror));
    document.querySelector(`input[name="view"][value="${view}"]`).checked = true;
    remember("view", view);
    remember("mirror", mirror);
  });
  store.watch(["state"], ({ state }) => {
    byId("confidence").setAttribute("aria-pressed", String(state?.settings?.overlay === "confidence"));
    const { width, height } = state?.source ?? { width: 16, height: 9 };
    byId("viewport").style.setProperty("--shape", String(width / height));
  });
  byId("mirror").addEventListener("click", () => store.set({ mirror: !store.values.mirror }));
  setUpFullScreen(byId("viewport"), byId("fullscreen"), byId("leave-fullscreen"));
  byId("confidence").addEventListener("click", async (event) => {
    const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
    const { api } = store.values;
    const state = await status.attempt("overlay", () => api.settings({ overlay: on ? "confidence" : "none" }));
    if (state) store.set({ state });
  });
  const figures = { root: byId("figures"), list: byId("stage-list"), slow: byId("slow"), video: byId("edited") };
  setUpFigures(figures, store, () => live.stats());
}

function setUpCamera(live) {
  const device = byId("device");
  for (const button of document.querySelectorAll('[data-action="start-camera"]')) {
    button.addEventListener("click", () => live.startCamera());
  }
  for (const button of document.querySelectorAll('[data-action="start-demo"]')) {
    button.addEventListener("click", () => live.startDemo());
  }
  byId("stop-source").addEventListener("click", () => live.stop());
  device.addEventListener("change", () => {
    store.set({ deviceId: device.value });
    remember("deviceId", device.value);
    live.reopen();
  });
  byId("microphone").addEventListener("change", (event) => {
    store.set({ microphone: event.target.checked });
    live.reopen();
  });
  store.watch(["cameras", "deviceId"], ({ cameras, deviceId }) => {
    const options = cameras.map(({ id, label }) => new Option(label, id, false, id === deviceId));
    device.replaceChildren(new Option("Default camera", ""), ...options);
    if (device.selectedIndex < 0) device.selectedIndex = 0;
  });
  store.watch(["source", "server", "state"], ({ source, server, state }) => {
    byId("start-camera").hidden = source === "camera";
    byId("start-camera").textContent = source === "none" ? "Start" : "Use camera";
    byId("start-camera").classList.toggle("primary", source === "none");
    byId("stop-source").hidden = source === "none" || source === "remote";
    for (const button of document.querySelectorAll("[data-action]")) button.disabled = server === "down";
    byId("start-demo").hidden = source === "demo";
    byId("confidence").disabled = !state?.edit && state?.settings?.overlay !== "confidence";
    const notes = {
      demo: "The server moves the demo’s face. The live view is a still that changes twice a second.",
      remote: "Another program sends this session’s picture. The live view is a still that changes twice a second.",
    };
    byId("camera-note").textContent = notes[source] ?? "";
    byId("camera-note").hidden = !(source in notes);
  });
}

/** Show the value of each range input beside it, however it was set. */
function showRangeValues() {
  for (const output of document.querySelectorAll(".slider output")) {
    const range = byId(output.htmlFor.value);
    if (range.id.startsWith("brush")) continue;
    const unit = range.dataset.unit ?? " %";
    const show = () => (output.textContent = `${range.value}${unit}`);
    range.addEventListener("input", show);
    range.addEventListener("shown", show);
  }
}

const page = { store, status, ensure, send: (message) => line?.send(message) ?? false };
const live = new Live(
  { ...page, onLost: sessionLost },
  { live: byId("live"), still: byId("live-still"), edited: byId("edited") },
);

async function start() {
  let pause_ms = 500;
  for (;;) {
    try {
      const presets = await listPresets();
      await resume();
      status.clear("server");
      store.set({ presets, server: "up" });
      break;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      store.set({ server: "down" });
      status.fail("server", error);
      await new Promise((resolve) => setTimeout(resolve, pause_ms));
      pause_ms = Math.min(pause_ms * 2, 8000);
    }
  }
  await live.resume();
}

setUpSharing(page, (session) => {
  Object.assign(store.values.api.session, session);
  remember("session", store.values.api.session);
});
setUpKeeping(page, endSession, setUpRecording(page).list);
const { upload } = setUpReference(page);
setUpEdit(page, upload, setUpExchange(page));
setUpPresets(page);
setUpStickers(page);
setUpLayers(page);
setUpWords(page);
setUpStrip(page);
const looks = setUpLooks(page);
setUpKeys(store, { ...looks, undo: setUpUndo(page) });
setUpDeck(page, looks);
const paint = new PaintPanel(page);
setUpView(live);
setUpVirtualCamera(page);
setUpCamera(live);
showRangeValues();
store.watch(["state", "source"], showSteps);
store.watch(["server", "sending", "source"], showServer);
store.watch(["stats", "state", "source"], showReason);
live.watchDevices();
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // back from the browser's page cache: its connections are gone
});
start();
