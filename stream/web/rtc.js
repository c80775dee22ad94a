/** One WebRTC connection by WHIP (we send) or WHEP (we receive), kept alive with growing pauses. */

import { ApiError, request } from "./api.js";

const CONNECT_LIMIT_MS = 12000; // from the offer to "connected"
const GATHER_LIMIT_MS = 1500; // host candidates take milliseconds; do not wait for a silent STUN server
const LOST_LIMIT_MS = 3000; // "disconnected" often heals by itself
const PROBE_MS = [1300, 1300, 1300, 5000]; // limits of questions in turn: a lost one is not waited for, a slow server is
const PROBE_PAUSE_MS = 200;
const RELAY_LIMIT_MS = 4000; // if no connection stands after this time, the relay that refused us is named
const STALL_LIMIT_MS = 6000; // no new frame although connected
const PAUSES_MS = [500, 1000, ...Array(100).fill(1500), 8000]; // quick while a server may be starting again

const NO_PATH = {
  hint:
    "The server's UDP ports must be reachable from here: check the firewall, or start the server with " +
    "--public-address and --udp-ports.",
};

/** Explain a TURN server's refusal. Null for other errors. */
function relayProblem({ url, errorCode }) {
  if (!/^turns?:/.test(url ?? "")) return null;
  const name = url.replace(/\?.*/, "");
  if (errorCode === 401 || errorCode === 441) {
    return new ApiError(`The relay server ${name} refused the credentials.`, {
      hint: "Whoever runs the server: check --turn-user and --turn-credential, or --turn-secret and the clocks.",
    });
  }
  return new ApiError(`The relay server ${name} cannot be used (error ${errorCode}).`, {
    hint: "It may be down, or this network blocks it.",
  });
}

function gathered(pc) {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_LIMIT_MS);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Host names of the mDNS kind mean nothing to a server elsewhere; it learns our address from our checks. */
export function withoutLocalNames(sdp) {
  return sdp
    .split("\r\n")
    .filter((line) => !(line.startsWith("a=candidate:") && line.includes(".local ")))
    .join("\r\n");
}

export class Link {
  #pc = null;
  #resource = null; // the Location of the answer: DELETE ends the connection there
  #timers = new Set();
  #attempt = 0;
  #wanted = false;
  #frames = 0;
  #framesAt_ms = 0;
  #searching = null; // the connection whose media path is cut, while the server is being asked
  #iceServers = null; // what the last search has brought, for the next connection
  #relay = null; // why a relay server did not serve

  /**
   * @param {object} options
   * @param {string} options.url WHIP or WHEP endpoint
   * @param {string} options.ice where the session's ICE servers are told
   * @param {string} options.token
   * @param {MediaStream|null} options.stream what to send; null to receive
   * @param {function(string, ApiError|null): void} options.onState "connecting", "connected", "retrying",
   *   "failed" (given up) or "closed", with the reason
   * @param {function(MediaStream): void} [options.onStream] the received stream
   * @param {function(): boolean} [options.expectsFrames] whether a stall means the connection died
   * @param {function(string|null): Promise<ApiError|null>} [options.whyLost] why a connection is over, as far as
   *   others know; it is told what the server called the connection
   * @param {function(string|null): Promise<boolean>} [options.isKept] whether the server still holds the connection
   */
  constructor({ url, ice, token, stream = null, onState, onStream, expectsFrames, whyLost, isKept }) {
    Object.assign(this, { url, ice, token, stream, onState, onStream });
    this.expectsFrames = expectsFrames ?? (() => false);
    this.whyLost = whyLost ?? (async () => null);
    this.isKept = isKept ?? (async () => true);
  }

  start() {
    this.#wanted = true;
    this.#attempt = 0;
    this.#connect();
  }

  /**
   * Close it, and tell the server; `leaving` keeps the request alive while the page goes away.
   * @returns {Promise<void>} when the server has heard it
   */
  stop(leaving = false) {
    this.#wanted = false;
    const heard = this.#drop(leaving);
    this.onState("closed", null);
    return heard;
  }

  /** Connect anew at once: the other side has forgotten this connection, or can be reached again. */
  renew() {
    if (!this.#wanted) return;
    this.#resource = null; // nothing is left to end there
    this.#drop();
    this.#attempt = 0;
    this.#connect();
  }

  /** Replace what is sent, without a new connection. */
  async replaceVideo(track) {
    const sender = this.#pc?.getSenders().find((each) => each.track?.kind === "video");
    await sender?.replaceTrack(track);
  }

  /** `RTCStatsReport`, or null while there is no connection. */
  async stats() {
    return this.#pc ? this.#pc.getStats() : null;
  }

  #later(wait_ms, run) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, wait_ms);
    this.#timers.add(timer);
    return timer;
  }

  async #drop(leaving = false) {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#pc?.close();
    this.#pc = null;
    if (!this.#resource) return;
    const gone = request("DELETE", this.#resource, { token: this.token, keepalive: leaving });
    this.#resource = null;
    await gone.catch((error) => console.info("the server had closed the connection already: %s", error.message));
  }

  #retry(error, soon = false) {
    if (!this.#wanted) return;
    this.#drop();
    const final = error.status >= 400 && error.status < 500 && error.status !== 408 && error.status !== 429;
    if (final) {
      this.#wanted = false;
      this.onState("failed", error);
      return;
    }
    const usual_ms = soon ? 0 : PAUSES_MS[Math.min(this.#attempt, PAUSES_MS.length - 1)];
    const pause_ms = error.retryAfter_s * 1000 || usual_ms;
    this.#attempt += 1;
    this.onState("retrying", error);
    this.#later(pause_ms, () => this.#connect());
  }

  /** Ask for the ICE servers: something small. Throws what `request` throws. */
  async #ask(attempt) {
    const timeout_ms = PROBE_MS[attempt % PROBE_MS.length];
    return (await request("GET", this.ice, { token: this.token, timeout_ms })).json();
  }

  /**
   * The media path is cut. Ask until the server answers. If it answers at once, and still knows the connection,
   * wait for the path to heal; if there was no answer for a while, connect anew at once.
   */
  async #search(pc) {
    this.#searching = pc;
    let heal_ms = LOST_LIMIT_MS;
    for (let attempt = 0; this.#pc === pc && pc.connectionState !== "connected"; attempt += 1) {
      try {
        this.#iceServers = await this.#ask(attempt);
        if (!(await this.isKept(this.#resource))) heal_ms = 0;
        break;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status) break; // an answer, if not the one hoped for
        heal_ms = 0;
        await new Promise((resolve) => setTimeout(resolve, PROBE_PAUSE_MS));
      }
    }
    if (this.#pc === pc && pc.connectionState === "disconnected") {
      await new Promise((resolve) => setTimeout(resolve, heal_ms));
    }
    this.#searching = null;
    if (this.#pc === pc && pc.connectionState !== "connected") this.#lose(false, true);
  }

  /** The connection is over: find out why, then go on accordingly. */
  async #lose(hungUp, soon = false) {
    const resource = this.#resource;
    if (hungUp) this.#resource = null; // nothing is left to end there
    this.#drop();
    const error = await this.whyLost(resource);
    this.#retry(error ?? this.#relay ?? new ApiError("The connection to the server was lost.", NO_PATH), soon);
  }

  async #connect() {
    this.onState("connecting", null);
    this.#relay = null;
    const relayLimit = this.#later(RELAY_LIMIT_MS, () => this.#relay && this.#retry(this.#relay));
    let iceServers;
    try {
      iceServers = this.#iceServers ?? (await this.#ask(this.#attempt + PROBE_MS.length - 1)); // at first it may be slow
      this.#iceServers = null;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#retry(error);
      return;
    }
    if (!this.#wanted) return;
    const pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#pc = pc;
    pc.addEventListener("icecandidateerror", (event) => (this.#relay ??= relayProblem(event)));
    const limit = this.#later(CONNECT_LIMIT_MS, () =>
      this.#retry(this.#relay ?? new ApiError("No media path to the server could be found.", NO_PATH)),
    );
    const limits = [limit, relayLimit];
    pc.addEventListener("connectionstatechange", () => this.#follow(pc, limits));
    try {
      if (this.stream) this.#send(pc);
      else this.#receive(pc);
      await pc.setLocalDescription();
      await gathered(pc);
      const sdp = withoutLocalNames(pc.localDescription.sdp);
      const response = await request("POST", this.url, {
        token: this.token,
        body: sdp,
        type: "application/sdp",
      });
      const resource = response.headers.get("Location");
      if (this.#pc !== pc) return; // stopped meanwhile; the server's watchdog ends it
      this.#resource = resource && new URL(resource, location.href).pathname; // this origin, whatever the proxy's name
      await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
      const { transport } = pc.getTransceivers()[0].sender;
      transport.addEventListener("statechange", () => this.#follow(pc, limits));
    } catch (error) {
      if (this.#pc !== pc) return;
      const known = error instanceof ApiError;
      this.#retry(known ? error : new ApiError(`The connection could not be set up: ${error.message}`));
    }
  }

  #send(pc) {
    for (const track of this.stream.getTracks()) {
      if (track.kind === "video") track.contentHint = "motion"; // rather less sharp than late
      pc.addTransceiver(track, { direction: "sendonly", streams: [this.stream] });
    }
  }

  #receive(pc) {
    const stream = new MediaStream();
    for (const kind of ["video", "audio"]) {
      const { receiver } = pc.addTransceiver(kind, { direction: "recvonly" });
      receiver.jitterBufferTarget = 0; // show the newest frame, do not collect some first
    }
    pc.addEventListener("track", ({ track }) => {
      stream.addTrack(track);
      this.onStream(stream);
    });
  }

  #follow(pc, limits) {
    if (this.#pc !== pc) return;
    const hungUp = pc.getTransceivers()[0]?.sender.transport?.state === "closed"; // by the server
    if (hungUp) {
      this.#lose(true);
    } else if (pc.connectionState === "failed") {
      if (this.#searching !== pc) this.#lose(false);
    } else if (pc.connectionState === "connected") {
      for (const limit of limits) {
        clearTimeout(limit);
        this.#timers.delete(limit);
      }
      this.#attempt = 0;
      this.#framesAt_ms = performance.now();
      this.onState("connected", null);
      if (!this.stream) this.#later(1000, () => this.#watchFrames(pc));
    } else if (pc.connectionState === "disconnected") {
      if (this.#searching !== pc) this.#search(pc);
    }
  }

  async #watchFrames(pc) {
    const report = await pc.getStats();
    if (this.#pc !== pc) return;
    let frames = 0;
    for (const entry of report.values()) {
      if (entry.type === "inbound-rtp" && entry.kind === "video") frames = entry.framesDecoded ?? 0;
    }
    const now_ms = performance.now();
    if (frames !== this.#frames || !this.expectsFrames()) this.#framesAt_ms = now_ms;
    this.#frames = frames;
    if (now_ms - this.#framesAt_ms > STALL_LIMIT_MS) {
      this.#retry(new ApiError("The edited picture stopped.", { hint: "Connecting again." }));
      return;
    }
    this.#later(1000, () => this.#watchFrames(pc));
  }
}
