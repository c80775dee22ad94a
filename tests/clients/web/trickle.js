/** Publishes and views by @binbat/whip-whep, which trickles its candidates: #whip=URL&whep=URL&token=TOKEN. */

import { WHEPClient } from "@binbat/whip-whep/whep.js";
import { WHIPClient } from "@binbat/whip-whep/whip.js";
import { params, report, reportPictures } from "./told.js";

const { whip, whep, token } = params();
const video = document.querySelector("video");
const plain = window.fetch.bind(window);
window.fetch = async (url, options) => {
  const answer = await plain(url, options);
  if (options?.method === "PATCH") report({ kind: "patch", status: answer.status });
  return answer;
};
try {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  const out = new RTCPeerConnection();
  for (const track of stream.getTracks()) out.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  await new WHIPClient().publish(out, whip, token);
  const back = new RTCPeerConnection();
  back.addTransceiver("video", { direction: "recvonly" });
  back.addEventListener("track", ({ track }) => (video.srcObject = new MediaStream([track])));
  await new WHEPClient().view(back, whep, token);
  reportPictures(video);
} catch (error) {
  report({ kind: "error", text: String(error) });
}
