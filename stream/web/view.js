/**
 * The viewer at /view/ID#token=TOKEN or /watch/ROOM#token=TOKEN: plays the edited stream, nothing else. For a
 * browser source of OBS add `?controls=0` (no buttons, no text) and `transparent=1` (no background); `sound=1`
 * starts with sound.
 */

import { ApiError, request, SessionApi } from "./api.js";
import { showSign } from "./recording.js";
import { Link } from "./rtc.js";

const ROOM_PAUSE_MS = 1500; // between two looks for a room, or for a server that starts again
const query = new URLSearchParams(location.search);
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? query.get("token") ?? ""; // in links of old
const [kind, name] = location.pathname.split("/").filter(Boolean).map(decodeURIComponent);
const video = document.getElementById("video");
const message = document.getElementById("message");
const sound = document.getElementById("sound");
const bare = query.get("controls") === "0";

document.documentElement.dataset.transparent = String(query.has("transparent") && query.get("transparent") !== "0");
document.getElementById("controls").hidden = bare;
message.hidden = bare;

let playing = false;
let connected = false;
let problem = "";

function show() {
  if (problem) message.textContent = problem;
  else if (playing) message.textContent = "";
  else message.textContent = connected ? "Waiting for the picture…" : "Connecting…";
  message.dataset.empty = String(message.textContent === "");
  video.dataset.playing = String(playing);
}

/** The session's id. Waits for a room of this name. Null if the token does not open it. */
async function findSession() {
  for (;;) {
    if (kind !== "watch") return name;
    try {
      return (await (await request("GET", `/api/rooms/${encodeURIComponent(name)}`, { token })).json()).id;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem = `${error.message} ${error.hint}`.trim();
      show();
      if (error.status === 401 || error.status === 403) return null;
    }
    await new Promise((resolve) => setTimeout(resolve, ROOM_PAUSE_MS));
  }
}

function watch(id) {
  const link = new Link({
    url: `/whep/${encodeURIComponent(id)}`,
    ice: `/api/sessions/${encodeURIComponent(id)}/ice-servers`,
    token,
    onStream: (stream) => {
      if (video.srcObject !== stream) video.srcObject = stream;
      sound.hidden = stream.getAudioTracks().length === 0;
    },
    onState: (state, error) => {
      connected = state === "connected";
      if (state === "connected") problem = "";
      if (error) problem = [error.message, error.hint, state === "retrying" ? "Trying again." : ""].join(" ").trim();
      show();
    },
  });
  let restarted = false; // the server could not be heard; it may have forgotten this viewer
  const line = new SessionApi({ id, token }).listen(
    (message) => {
      if (!bare && (message.type === "stats" || message.type === "state")) {
        showSign(document.getElementById("recording-sign"), message.recording);
      }
      if (message.type !== "state" || !restarted) return;
      restarted = false;
      if (message.viewers === 0) link.renew();
    },
    (up) => {
      if (!up) restarted = true;
    },
    () => {}, // the link says why
  );
  addEventListener("pagehide", () => {
    line.close();
    link.stop(true);
  });
  link.start();
}

function setSound(on) {
  video.muted = !on;
  sound.setAttribute("aria-pressed", String(on));
  sound.textContent = on ? "Sound off" : "Sound on";
}

for (const event of ["playing", "waiting", "emptied"]) {
  video.addEventListener(event, () => {
    playing = event === "playing";
    show();
  });
}
sound.addEventListener("click", () => setSound(video.muted));
document.getElementById("fullscreen").hidden = !document.fullscreenEnabled;
document.getElementById("fullscreen").addEventListener("click", () => video.requestFullscreen());
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // its connections are gone
});
setSound(query.get("sound") === "1");
show();
const id = await findSession();
if (id !== null) watch(id);
