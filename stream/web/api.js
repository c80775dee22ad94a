/** The server's HTTP and WebSocket interface. Every failure becomes an ApiError with text for people. */

export class ApiError extends Error {
  /**
   * @param {string} message what went wrong, one sentence
   * @param {{status?: number, hint?: string, retryAfter_s?: number}} [about] status 0: no answer at all
   */
  constructor(message, { status = 0, hint = "", retryAfter_s = 0 } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.hint = hint;
    this.retryAfter_s = retryAfter_s;
  }
}

const FIRST_PAUSE_MS = 500;
const QUICK_PAUSE_MS = 1000; // a server that starts again is found within this
const RESTART_MS = 180000; // how long a server may take to start again
const LONGEST_PAUSE_MS = 8000;

const BY_STATUS = {
  401: ["The server does not accept the token.", "Open the page with a valid link, or start a new session."],
  403: ["This link may watch but not control.", "Ask whoever opened the session for control."],
  404: ["The server no longer knows this session.", "It ended, or it was deleted because it was unused for too long."],
  413: ["The picture is too large for the server.", "Save it smaller: at most 32 MB, and some 15 megapixels for a reference."],
  415: ["The server does not take this kind of file.", "Use PNG, JPEG or WebP."],
  503: ["The server is full.", "Try again in a moment."],
};

/** Turn the server's message into a sentence. */
export function sentence(text) {
  if (!text) return "";
  const begun = text[0].toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

async function toError(response) {
  const [message, hint] = BY_STATUS[response.status] ?? [`The server answered ${response.status}.`, ""];
  const retryAfter_s = Number(response.headers.get("Retry-After")) || 0;
  const about = { status: response.status, hint, retryAfter_s };
  if (!(response.headers.get("Content-Type") ?? "").includes("json")) return new ApiError(message, about);
  const said = await response.json();
  return new ApiError(sentence(said.error) || message, { ...about, hint: sentence(said.hint) || hint });
}

/**
 * One request. `body` is sent as it is, `json` as JSON.
 * @returns {Promise<Response>} a response with status 2xx
 * @throws {ApiError} any other answer, or none within `timeout_ms`
 */
export async function request(method, path, { token, body, json, type, timeout_ms = 20000, keepalive } = {}) {
  const headers = new Headers();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  if (json !== undefined) headers.set("Content-Type", "application/json");
  else if (type) headers.set("Content-Type", type);
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      keepalive,
      cache: "no-store",
      body: json === undefined ? body : JSON.stringify(json),
      signal: AbortSignal.timeout(timeout_ms),
    });
  } catch (error) {
    if (error.name === "TimeoutError") {
      throw new ApiError("The server did not answer in time.", { hint: "It may be busy; try again." });
    }
    throw new ApiError("The server cannot be reached.", { hint: "Is it still running? Is the network up?" });
  }
  if (!response.ok) throw await toError(response);
  return response;
}

/** A new session; `serverToken` where the server was started with --token. */
export async function createSession(serverToken) {
  const made = await (await request("POST", "/api/sessions", { token: serverToken, json: {} })).json();
  return ticketsOf(made);
}

/** What of a session's answer is kept: its id, tokens and addresses. */
export function ticketsOf({ id, token, whip, whep, viewer, publish_token }) {
  return { id, token, whip, whep, viewer, publish_token };
}

/** `GET /api/presets`: [{name, title, colour}]. */
export async function listPresets() {
  const answer = await (await request("GET", "/api/presets")).json();
  return Array.isArray(answer) ? answer : answer.presets;
}

/** What the server keeps: {storage: {keep_days, nearly_full} or null}. */
export async function aboutServer() {
  return (await request("GET", "/api/server")).json();
}

/** The query of named values, without those that are null. */
function queryOf(values = {}) {
  return new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== null));
}

/** One session's calls. Those that change something return its new state. */
export class SessionApi {
  /**
   * @param {object} session see `createSession`
   * @param {function(): Promise<void>} [settle] awaited before an edit: sends what was painted before it
   */
  constructor(session, settle = async () => {}) {
    Object.assign(this, { session, settle });
    this.base = `/api/sessions/${encodeURIComponent(session.id)}`;
  }

  async #call(method, path, options = {}) {
    const response = await request(method, this.base + path, { token: this.session.token, ...options });
    const isJson = (response.headers.get("Content-Type") ?? "").includes("json");
    return isJson ? response.json() : null;
  }

  /** A call that changes pictures or what is edited. */
  async #edit(method, path, options) {
    await this.settle();
    return this.#call(method, path, options);
  }

  state(timeout_ms) {
    return this.#call("GET", "", { timeout_ms });
  }

  /** End the session; `recordings` is "keep" or "delete". Says what was deleted and what remains. */
  end(recordings) {
    return this.#call("DELETE", `?recordings=${recordings}`);
  }

  /** Watch the session under a name; null for none. Answers with the new addresses. */
  nameRoom(room) {
    return this.#call("PUT", "/room", { json: { room } });
  }

  /** Make the token of a right void, "view" or "publish", and get another. */
  renewToken(right) {
    return this.#call("POST", "/tokens", { json: { renew: right } });
  }

  /** "start", "pause", "resume" or "stop". */
  record(action) {
    return this.#call("POST", "/recording", { json: { action } });
  }

  /** [{name, state, bytes, files: [{name, bytes}]}] */
  async recordings() {
    return (await this.#call("GET", "/recordings")).recordings;
  }

  deleteRecording(name) {
    return this.#call("DELETE", `/recordings/${name}`);
  }

  /** An address of a film that works for some minutes. */
  async lendRecording(name, file) {
    return (await this.#call("POST", `/recordings/${name}/lend`, { json: { file } })).url;
  }

  /** Take the live frame, or with `auto` wait for a good one. */
  takeReference(auto) {
    return this.#edit("POST", "/reference", { json: auto ? { auto: true } : {} });
  }

  uploadReference(blob) {
    return this.#edit("POST", "/reference", { body: blob, type: blob.type, timeout_ms: 60000 });
  }

  /**
   * Lay an edited picture on top; `target` says of what: {look, keyframe}. What is left out is the one of now.
   * Unless `sure`, status 428 says that it hardly resembles its reference.
   */
  addPicture(blob, target, sure) {
    const how = { body: blob, type: blob.type, timeout_ms: 60000 };
    return this.#edit("POST", `/layers?${queryOf({ kind: "picture", sure, ...target })}`, how);
  }

  /** Lay a picture on as "sticker", at {at, size}, or as "backdrop". */
  addPaint(kind, blob, place, target) {
    const how = { body: blob, type: blob.type, timeout_ms: 60000 };
    return this.#edit("POST", `/layers?${queryOf({ kind, ...place, ...target })}`, how);
  }

  /** A newer version of the edited picture in a layer. */
  renewPicture(blob, layer, target) {
    const how = { body: blob, type: blob.type, timeout_ms: 60000 };
    return this.#edit("PUT", `/layers/${layer}?${queryOf(target)}`, how);
  }

  /** Paint from the easel itself, for a layer that is there or, with null, for a new one on top. */
  putPaint(blob, layer, target) {
    const how = { body: blob, type: blob.type, timeout_ms: 60000 };
    if (layer === null) return this.#call("POST", `/layers?${queryOf({ kind: "paint", ...target })}`, how);
    return this.#call("PUT", `/layers/${layer}?${queryOf(target)}`, how);
  }

  /** Change a layer: {shown, strength, colour, place}, a sticker also {at, size, turn_deg, right, down, rigid}. */
  changeLayer(layer, patch, target) {
    return this.#edit("PATCH", `/layers/${layer}?${queryOf(target)}`, { json: patch });
  }

  removeLayer(layer, target) {
    return this.#edit("DELETE", `/layers/${layer}?${queryOf(target)}`);
  }

  /** Take a layer away that the easel itself emptied: nothing is sent before it. */
  dropPaint(layer, target) {
    return this.#call("DELETE", `/layers/${layer}?${queryOf(target)}`);
  }

  /** Of a layer: "picture", its paint, or "below", what lies under it. */
  layerPicture(layer, name, target) {
    return this.#blob(`/layers/${layer}/${name}.png?${queryOf(target)}`);
  }

  removeEdit() {
    return this.#edit("DELETE", "/edit");
  }

  preset(choice) {
    return this.#edit("POST", "/preset", { json: choice });
  }

  /** Begin an edit by words: {prompt, area, look, keyframe}; the state's `prompt` tells how it goes. */
  editByWords(choice) {
    return this.#edit("POST", "/prompt", { json: choice });
  }

  cancelWords() {
    return this.#call("DELETE", "/prompt");
  }

  /** One step of the session's edits back, or on again. */
  undo(again = false) {
    return this.#call("POST", again ? "/redo" : "/undo");
  }

  createLook(copy) {
    return this.#edit("POST", "/looks", { json: { copy } });
  }

  renameLook(look, name) {
    return this.#call("PATCH", `/looks/${look}`, { json: { name } });
  }

  removeLook(look) {
    return this.#edit("DELETE", `/looks/${look}`);
  }

  /** A look as a file to keep or share. */
  lookFile(look) {
    return this.#blob(`/looks/${look}/file`);
  }

  /** A look file as a further look, `own`: on its own stills, else carried to the reference's face. */
  importLook(file, own) {
    const how = { body: file, type: "application/vnd.livery+zip", timeout_ms: 60000 };
    return this.#edit("POST", `/looks/import?own=${own}`, how);
  }

  wearLook(look) {
    return this.#call("POST", `/looks/${look}/wear`);
  }

  /** The live frame as a further keyframe of this look. */
  takeKeyframe() {
    return this.#edit("POST", "/keyframes", { json: {} });
  }

  /** Edit this keyframe from now on; null for the reference. */
  focus(keyframe) {
    return this.#edit("PUT", "/focus", { json: { keyframe } });
  }

  removeKeyframe(keyframe) {
    return this.#edit("DELETE", `/keyframes/${keyframe}`);
  }

  settings(patch) {
    return this.#call("PATCH", "/settings", { json: patch });
  }

  /** Where a phone opens this session, and a QR code of it: {url, qr}. */
  phone() {
    return this.#call("GET", "/phone");
  }

  /** Feed the virtual camera of the server's machine, or no more. */
  virtualCamera(on) {
    return this.#call("PUT", "/virtual-camera", { json: { on } });
  }

  demo(on) {
    return this.#call(on ? "POST" : "DELETE", "/demo");
  }

  /** A picture of the session: "reference", "edit" or "frame"; null where it is of another version by now. */
  picture(name, version) {
    return this.#blob(`/${name}.png${version === undefined ? "" : `?version=${version}`}`);
  }

  /** A sheet of all presets on the reference's face, in their order; null where it shows none, or has changed. */
  previews(version) {
    return this.#blob(`/previews.jpg?version=${version}`);
  }

  /** A small picture of "looks/ID" or "keyframes/ID"; null where that has gone meanwhile. */
  thumb(name) {
    return this.#blob(`/${name}/thumb.jpg`);
  }

  async #blob(path) {
    const response = await request("GET", this.base + path, { token: this.session.token });
    return response.status === 204 ? null : response.blob();
  }

  /**
   * Listen to the session until `close` is called; reconnects with growing pauses.
   * @param {function(object): void} onMessage
   * @param {function(boolean, ApiError=): void} onUp whether the server can be heard, and why not
   * @param {function(): void} onGone the session has ended, or the token no longer holds
   * @returns {{close: function(): void, send: function(object): boolean}} `send` is false while nobody hears it
   */
  listen(onMessage, onUp, onGone) {
    const url = new URL(`${this.base}/events`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    let socket = null;
    let closed = false;
    let pause_ms = FIRST_PAUSE_MS;
    let lost_ms = 0; // when the line went down
    let timer = 0;
    const again = async () => {
      try {
        onMessage({ type: "state", ...(await this.state()) });
      } catch (error) {
        if (closed) return;
        if (error.status >= 400 && error.status < 500) {
          onGone();
          return;
        }
        onUp(false, error);
        wait();
        return;
      }
      if (!closed) open();
    };
    const wait = () => {
      timer = setTimeout(again, pause_ms);
      const most_ms = performance.now() - lost_ms < RESTART_MS ? QUICK_PAUSE_MS : LONGEST_PAUSE_MS;
      pause_ms = Math.min(pause_ms * 2, most_ms);
    };
    const open = () => {
      socket = new WebSocket(url, ["livery", `bearer.${this.session.token}`]);
      socket.onopen = () => {
        pause_ms = FIRST_PAUSE_MS;
        lost_ms = 0;
        onUp(true);
      };
      socket.onmessage = (event) => onMessage(JSON.parse(event.data));
      socket.onclose = () => {
        if (closed) return;
        lost_ms ||= performance.now();
        onUp(false);
        wait();
      };
    };
    open();
    return {
      close: () => {
        closed = true;
        clearTimeout(timer);
        socket.close();
      },
      send: (message) => {
        const open = socket.readyState === WebSocket.OPEN;
        if (open) socket.send(JSON.stringify(message));
        return open;
      },
    };
  }
}
