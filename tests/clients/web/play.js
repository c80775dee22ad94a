/** Plays by @eyevinn/webrtc-player: #endpoint=URL&token=TOKEN. Reports what it shows, as a PNG. */

import { WebRTCPlayer } from "@eyevinn/webrtc-player";
import { params, report, reportPictures } from "./told.js";

const { endpoint, token } = params();
const video = document.querySelector("video");
try {
  const player = new WebRTCPlayer({ video, type: "whep", iceServers: [] });
  await player.load(new URL(endpoint), `Bearer ${token}`);
  reportPictures(video);
} catch (error) {
  report({ kind: "error", text: String(error) });
}
