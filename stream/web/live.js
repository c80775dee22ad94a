/** The source that feeds the session, the link that brings the edited picture back, and both views. */

import { ApiError } from "./api.js";
import { cameraAllowed, explainCamera, listCameras, onCamerasChange, openCamera } from "./camera.js";
import { Link } from "./rtc.js";

const STILL_PAUSE_MS = 400;
const ASK_LIMIT_MS = 3000;
const FORGOTTEN_MS = 300; // for so long the session knows no camera before ours is taken to be forgotten
const RETURN_MS = 2000; // a camera that ends so soon after the page was shown again ended in the background
const SOURCE = "livery.source"; // kept for this tab only: a second one must not take the camera over

export class Live {
  #publish = null;
  #view = null;
  #stream = null;
  #stillTimer = 0;
  #stillUrl = "";
  #stillAsked = Promise.resolve(); // the newest still has arrived
  #takenAway = false; // the camera ended while the page was in the background
  #shownAt_ms = -Infinity;
  #goodbye = Promise.resolve(); // the server has heard of every connection that was closed

  /**
   * @param {object} page
   * @param {object} page.store see app.js
   * @param {object} page.status
   * @param {function(): Promise<import("./api.js").SessionApi|null>} page.ensure opens a session where there is none
   * @param {{live: HTMLVideoElement, still: HTMLImageElement, edited: HTMLVideoElement}} elements
   */
  constructor(page, elements) {
    Object.assign(this, page, elements);
    this.store.watch(["state", "api", "ending"], () => this.#followState());
    this.store.watch(["source", "state", "view", "ending"], () => this.#showStill());
    addEventListener("pagehide", () => this.#leave());
    document.addEventListener("visibilitychange", () => this.#shown());
  }

  /** Take up after a reload what ran before it. */
  async resume() {
    const { api, state } = this.store.values;
    const wanted = sessionStorage.getItem(SOURCE) === "camera" && !state?.demo;
    if (api && wanted && (await cameraAllowed())) await this.startCamera();
  }

  async startCamera() {
    this.#takenAway = false;
    let stream;
    try {
      stream = await this.#open();
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      if (error.name === "OverconstrainedError") this.store.set({ deviceId: "" });
      if (this.#stream?.getTracks().every((track) => track.readyState === "ended")) this.#closeCamera();
      this.status.fail("camera", ...explainCamera(error));
      return;
    }
    const api = await this.ensure();
    if (!api) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    this.status.clear("camera");
    this.#closeCamera();
    this.#stream = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => this.#cameraGone(stream));
    this.live.srcObject = stream;
    this.#publish = new Link({
      url: api.session.whip,
      ice: `${api.base}/ice-servers`,
      token: api.session.token,
      stream,
      onState: (state, error) => this.#linkState("sending", state, error),
      whyLost: (resource) => this.#whyLost(api, resource),
      isKept: async (resource) => resource?.endsWith(`/${(await api.state(ASK_LIMIT_MS)).publisher}`) ?? false,
    });
    this.#publish.start();
    sessionStorage.setItem(SOURCE, "camera");
    this.store.set({ source: "camera" });
    await this.listDevices();
  }

  /** Open the chosen camera. Many phones open one at a time: there the present one is closed first. */
  async #open() {
    const { deviceId, microphone } = this.store.values;
    try {
      return await openCamera(deviceId, microphone);
    } catch (error) {
      if (!this.#stream || error.name !== "NotReadableError") throw error;
      for (const track of this.#stream.getTracks()) track.stop();
      return openCamera(deviceId, microphone);
    }
  }

  /** The server can be heard again: one that was restarted knows nothing of the connection from before. */
  recover() {
    const { state, source } = this.store.values;
    if (source !== "camera" || state?.publishing) return;
    this.#publish?.renew();
    this.#view?.renew();
  }

  async startDemo() {
    const api = await this.ensure();
    if (!api) return;
    this.#closeCamera();
    const state = await this.status.attempt("demo", () => api.demo(true));
    if (!state) return;
    for (const key of ["camera", "link-sending"]) this.status.clear(key);
    sessionStorage.removeItem(SOURCE);
    this.store.set({ state, view: "side" });
  }

  async stop() {
    sessionStorage.removeItem(SOURCE);
    this.#takenAway = false;
    const { api, state } = this.store.values;
    this.#closeCamera();
    if (!state?.demo) return;
    const after = await this.status.attempt("demo", () => api.demo(false));
    if (after) this.store.set({ state: after });
  }

  /** Close every connection, before the session ends; returns when the server has heard it. */
  async hangUp() {
    await this.stop();
    if (this.#view) this.#closeView();
    await Promise.all([this.#goodbye, this.#stillAsked]);
  }

  /** Fill the picker; names come only after permission was given. */
  async listDevices() {
    this.store.set({ cameras: await listCameras() });
  }

  watchDevices() {
    onCamerasChange(() => this.listDevices());
    return this.listDevices();
  }

  /** The chosen camera or microphone changed: reopen if one is running. */
  async reopen() {
    if (this.#stream) await this.startCamera();
  }

  async stats() {
    return { publish: await this.#publish?.stats(), view: await this.#view?.stats() };
  }

  #closeCamera() {
    this.#goodbye = Promise.all([this.#goodbye, this.#publish?.stop()]);
    this.#publish = null;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.live.srcObject = null;
    this.store.set({ source: this.store.values.state?.demo ? "demo" : "none", sending: "closed" });
  }

  #cameraGone(stream) {
    if (this.#stream !== stream) return;
    this.#closeCamera();
    if (document.hidden || performance.now() - this.#shownAt_ms < RETURN_MS) {
      this.#takenAway = true;
      this.#shown();
      return;
    }
    this.status.fail("camera", "The camera stopped.", "Was it unplugged? Start it again or choose another one.");
  }

  /** A phone may take the camera away from a page in the background: open it again when it is back. */
  #shown() {
    if (document.hidden) return;
    if (!this.#takenAway) this.#shownAt_ms = performance.now();
    else this.startCamera();
  }

  /** Another source than this page's camera may feed the session: the demo, or OBS by WHIP. */
  #followState() {
    const { state, api, source, ending } = this.store.values;
    const fed = state?.publishing || state?.publisher; // or will be soon, by a camera that still connects
    if (state && !fed && source !== "camera") this.status.clear("link-sending");
    if (source !== "camera") {
      const elsewhere = state?.publishing ? "remote" : "none";
      this.store.set({ source: state?.demo ? "demo" : elsewhere });
    }
    if (this.#isForgotten()) setTimeout(() => this.#isForgotten() && this.#publish?.renew(), FORGOTTEN_MS);
    const kept = source === "camera" && this.#view; // what the session told may be older than our new connection
    const wanted = api !== null && !ending && Boolean(state?.publishing || state?.demo || kept);
    if (wanted && !this.#view) this.#openView(api);
    else if (!wanted && this.#view) this.#closeView();
  }

  /** Whether the session has given up our camera, which the browser still takes to be connected. */
  #isForgotten() {
    const { state, source, sending } = this.store.values;
    return source === "camera" && sending === "connected" && state?.publisher === null && !state.demo;
  }

  /**
   * Why a connection is over, as the session tells it; null where it names no reason.
   * @param {string} [resource] what a camera's connection was called; another one may feed the session now
   */
  async #whyLost(api, resource) {
    let state;
    try {
      state = await api.state(ASK_LIMIT_MS);
    } catch (error) {
      if (error instanceof ApiError) return error;
      throw error;
    }
    const elsewhere = state.publisher !== null && !resource?.endsWith(`/${state.publisher}`);
    if (!resource || !(state.demo || elsewhere)) return null;
    const hint = "Start the camera here to take it back.";
    return new ApiError("Another window or program now feeds this session.", { status: 409, hint });
  }

  #openView(api) {
    this.#view = new Link({
      url: api.session.whep,
      ice: `${api.base}/ice-servers`,
      token: api.session.token,
      onState: (state, error) => this.#linkState("receiving", state, error),
      onStream: (stream) => {
        this.edited.srcObject = stream;
      },
      expectsFrames: () => (this.store.values.stats?.fps_out ?? 0) > 1,
      whyLost: () => this.#whyLost(api),
    });
    this.#view.start();
  }

  #closeView() {
    this.#goodbye = Promise.all([this.#goodbye, this.#view.stop()]);
    this.#view = null;
    this.edited.srcObject = null;
  }

  #leave() {
    this.#publish?.stop(true);
    this.#view?.stop(true);
  }

  #linkState(which, state, error) {
    this.store.set({ [which]: state });
    const key = `link-${which}`;
    if (state === "connected" || state === "closed") this.status.clear(key);
    if (state === "retrying") this.status.fail(key, error.message, `${error.hint} Trying again.`.trim());
    if (state !== "failed") return;
    if (which === "sending") this.#closeCamera();
    if (error.status === 404) this.onLost();
    else this.status.fail(key, error);
  }

  /** Where the camera is elsewhere, the live view is a still, renewed about twice a second. */
  #showStill() {
    const { source, view, state, api, ending } = this.store.values;
    const elsewhere = source === "demo" || source === "remote";
    const wanted = elsewhere && view !== "edited" && Boolean(state?.source) && !ending;
    this.still.hidden = !wanted;
    this.live.hidden = wanted;
    if (!wanted) {
      clearTimeout(this.#stillTimer);
      this.#stillTimer = 0;
    } else if (this.#stillTimer === 0) {
      this.#stillTimer = setTimeout(() => this.#renewStill(api), 0);
    }
  }

  async #renewStill(api) {
    if (!document.hidden) {
      const asked = this.status.attempt("still", () => api.picture("frame"));
      this.#stillAsked = asked;
      const blob = await asked;
      if (this.#stillTimer === 0) return;
      if (blob) {
        const old = this.#stillUrl;
        this.#stillUrl = URL.createObjectURL(blob);
        this.still.src = this.#stillUrl;
        if (old) URL.revokeObjectURL(old);
      }
    }
    this.#stillTimer = setTimeout(() => this.#renewStill(api), STILL_PAUSE_MS);
  }
}
