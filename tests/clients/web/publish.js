/** Publishes the camera by @eyevinn/whip-web-client: #endpoint=URL&token=TOKEN. */

import { WHIPClient } from "@eyevinn/whip-web-client";
import { params, report } from "./told.js";

const { endpoint, token } = params();
try {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  const client = new WHIPClient({ endpoint, opts: { authkey: token, iceServers: [] } });
  await client.setIceServersFromEndpoint();
  await client.ingest(stream);
  report({ kind: "publish", resource: await client.getResourceUrl() });
  addEventListener("hashchange", () => client.destroy());
} catch (error) {
  report({ kind: "error", text: String(error) });
}
