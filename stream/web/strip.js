/** The film strip: the active look's keyframes, which one serves, and their log. */

import { ThumbRow } from "./thumbs.js";

const byId = (id) => document.getElementById(id);
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const time = (ms) => new Date(ms).toLocaleTimeString([], CLOCK);
const WORTH_SAYING_DEG = 4;

/** The head's turn from the first keyframe, left and right from the person's view. "" if there is none. */
function turned(turn) {
  const [yaw, pitch] = turn ?? [0, 0];
  if (Math.abs(yaw) >= WORTH_SAYING_DEG) return `${Math.abs(yaw)}° ${yaw < 0 ? "left" : "right"}`;
  return Math.abs(pitch) >= WORTH_SAYING_DEG ? `tilted ${Math.abs(pitch)}°` : "";
}

function describe(keyframe) {
  const parts = [keyframe.pinned ? "edited by you" : "made by Livery"];
  if (keyframe.made_at) parts.push(`taken ${time(keyframe.made_at)}`);
  const turn = turned(keyframe.turn_deg);
  if (turn) parts.push(`head ${turn}`);
  if (keyframe.covered !== null) parts.push(`covered ${Math.round(keyframe.covered * 100)} % where it was tried`);
  if (keyframe.active) parts.push("serves now");
  return parts.join(", ");
}

function caption(keyframe) {
  return turned(keyframe.turn_deg) || (keyframe.made_at ? time(keyframe.made_at) : "picture");
}

function shot(keyframe, index) {
  const item = document.createElement("li");
  item.className = "shot";
  const button = document.createElement("button");
  button.type = "button";
  const image = document.createElement("img");
  image.alt = "";
  const number = document.createElement("span");
  number.className = "count";
  const verb = document.createElement("span"); // the name is what is seen, after a word of what it does
  verb.className = "visually-hidden";
  verb.textContent = "Edit keyframe ";
  number.textContent = `${index + 1} ${keyframe.pinned ? "yours" : "made"} `;
  const text = document.createElement("span");
  text.className = "said";
  button.append(image, verb, number, text);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "remove";
  remove.textContent = "×";
  item.append(button, remove);
  return item;
}

/** @param {object} page store, status */
export function setUpStrip({ store, status }) {
  const row = new ThumbRow(byId("film"), store);
  const change = async (run) => {
    const state = await status.attempt("keyframe", run);
    if (!state) return;
    const { warning, ...kept } = state;
    store.set({ state: kept });
    if (warning) status.warn("keyframe", "No face was found in the picture.");
  };
  const isFocus = (state, keyframe) => keyframe.id === (state.focus ?? state.reference?.version);
  const remove = (keyframe) => {
    const { api, state } = store.values;
    const hands = state.keyframes.filter(({ pinned }) => pinned);
    const last = keyframe.pinned && hands.length === 1;
    return change(() => (last ? api.removeEdit() : api.removeKeyframe(keyframe.id)));
  };

  byId("take-keyframe").addEventListener("click", async () => {
    const before = store.values.state.focus;
    await change(() => store.values.api.takeKeyframe());
    if (store.values.state.focus !== before) store.set({ tab: "paint" });
  });

  store.watch(["state", "source"], ({ state, source }) => {
    const keyframes = state?.keyframes ?? [];
    byId("strip").hidden = keyframes.length === 0;
    byId("take-keyframe").disabled = source === "none" || !state?.source;
    row.show(keyframes, {
      key: ({ id }) => `keyframes/${id}`,
      version: ({ version }) => version,
      signature: ({ id, pinned }, index) => `${id} ${index} ${pinned}`,
      build: (keyframe, index) => {
        const item = shot(keyframe, index);
        item.children[0].addEventListener("click", () => change(() => store.values.api.focus(keyframe.id)));
        item.children[1].addEventListener("click", () => remove(now(keyframe.id)));
        return item;
      },
      update: (item, keyframe, index) => {
        const [button, bin] = item.children;
        item.dataset.active = String(keyframe.active);
        item.dataset.pinned = String(keyframe.pinned);
        item.querySelector(".said").textContent = caption(keyframe);
        button.setAttribute("aria-pressed", String(isFocus(state, keyframe)));
        button.title = describe(keyframe);
        const words = keyframe.was_made ? "Take your edit off keyframe" : "Remove keyframe";
        bin.setAttribute("aria-label", `${words} ${index + 1}`);
        bin.title = words;
      },
    });
  });
  const now = (id) => store.values.state.keyframes.find((each) => each.id === id);

  store.watch(["log", "stats", "state"], ({ log, stats, state }) => {
    const decision = stats?.decision;
    byId("log").hidden = !state?.edit || (log.length === 0 && !decision);
    const words = decision?.reason === "covered" ? "the view is covered" : decision?.reason;
    byId("decision").textContent = words ? `Keyframes: ${words}` : "Keyframes: what happened";
  });
  store.watch(["log"], ({ log }) => {
    const entries = log.map(({ at_ms, kind, text }) => {
      const item = document.createElement("li");
      item.dataset.kind = kind;
      const at = document.createElement("time");
      at.textContent = time(at_ms);
      const words = document.createElement("span");
      words.textContent = text;
      item.append(at, words);
      return item;
    });
    byId("log-list").replaceChildren(...entries.reverse());
  });
}
