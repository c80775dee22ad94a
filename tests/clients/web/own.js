/** The page's own connection in any browser: publishes the camera and plays the edited stream. */

import { Link } from "/static/rtc.js";
import { params, report, reportPictures } from "./told.js";

const { session, token } = params();
const video = document.querySelector("video");
const common = { token, ice: `/api/sessions/${session}/ice-servers` };
const onState = (state, error) => error && report({ kind: "error", text: `${state}: ${error.message}` });
try {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: true });
  new Link({ ...common, url: `/whip/${session}`, stream, onState }).start();
  new Link({
    ...common,
    url: `/whep/${session}`,
    onState,
    onStream: (received) => (video.srcObject = received),
  }).start();
  reportPictures(video);
} catch (error) {
  report({ kind: "error", text: String(error) });
}
