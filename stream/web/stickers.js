/** Stickers on the face, and a picture behind the person: each becomes a layer. A sticker is placed on a pad. */

import { targetOf } from "./layers.js";
import { refuseFile } from "./reference.js";
import { latest } from "./state.js";

const byId = (id) => document.getElementById(id);
const KEYS = { // what a key changes, and by how much
  ArrowLeft: ["right", -0.01], ArrowRight: ["right", 0.01], ArrowUp: ["down", -0.01], ArrowDown: ["down", 0.01],
  "+": ["size", 0.02], "=": ["size", 0.02], "-": ["size", -0.02], "−": ["size", -0.02],
  "<": ["turn_deg", -5], ",": ["turn_deg", -5], ">": ["turn_deg", 5], ".": ["turn_deg", 5],
};
const LIMITS = { right: [-2, 2], down: [-2, 2], size: [0.05, 3], turn_deg: [-180, 180] };
const FAST = 5; // times as far with Shift

const within = (name, value) => Math.min(LIMITS[name][1], Math.max(LIMITS[name][0], value));

/** @param {object} page store, status */
export function setUpStickers({ store, status }) {
  const size = byId("sticker-size");
  const add = async (kind, file, place = {}) => {
    const refused = refuseFile(file);
    if (refused) {
      status.fail("edit", ...refused);
      return;
    }
    const { api, state } = store.values;
    const target = { look: state.active, keyframe: state.focus };
    byId("stickers").setAttribute("aria-busy", "true");
    const after = await status.attempt("edit", () => api.addPaint(kind, file, place, target));
    byId("stickers").removeAttribute("aria-busy");
    if (after) store.set({ state: after, placing: kind === "sticker" ? after.layers.at(-1).id : null });
  };
  const onFile = (id, take) => {
    byId(id).addEventListener("change", (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) take(file);
    });
  };
  onFile("sticker-file", (file) => add("sticker", file, { at: byId("sticker-spot").value, size: Number(size.value) / 100 }));
  onFile("backdrop-file", (file) => add("backdrop", file));
  store.watch(["state"], ({ state }) => {
    const { reference } = state ?? {};
    byId("stickers").hidden = !reference;
    byId("sticker-file").disabled = !reference?.landmarks;
  });
  setUpPlacing({ store, status });
}

/** The pad on which the chosen sticker is dragged, and its controls. */
function setUpPlacing({ store, status }) {
  const [root, pad, spot] = [byId("placing"), byId("placing-pad"), byId("placing-spot")];
  const picture = pad.querySelector("img");
  spot.append(...[...byId("sticker-spot").options].map((option) => option.cloneNode(true)));
  const shown = { version: null, url: "", layer: null };

  const layerOf = ({ state, placing }) => state?.layers.find(({ id, sticker }) => id === placing && sticker);
  const send = latest(async (id, patch) => {
    const { api, state } = store.values;
    const after = await status.attempt("edit", () => api.changeLayer(id, patch, targetOf(state)));
    if (after) store.set({ state: after });
  });
  let wanted = {}; // what was changed and is not yet in the state
  const change = (patch) => {
    const layer = layerOf(store.values);
    if (!layer) return;
    Object.assign(wanted, patch);
    send(layer.id, { ...wanted });
  };
  /** A value as it will be, once what was sent has arrived. */
  const now = (name) => wanted[name] ?? layerOf(store.values)?.sticker[name];

  const mark = () => {
    const layer = layerOf(store.values);
    for (const old of pad.querySelectorAll(".mark")) old.remove();
    if (!layer || !picture.naturalWidth) return;
    const { middles, shape, face } = layer.sticker;
    const scale = picture.clientWidth / picture.naturalWidth;
    const [right, down] = ["right", "down"].map((name) => (now(name) - layer.sticker[name]) * face[0]);
    middles.forEach(([x, y, width, turn], number) => {
      const side = number ? -1 : 1; // the second one is mirrored
      const node = document.createElement("div");
      node.className = "mark";
      const [w, h] = [width * scale, (width * scale * shape[1]) / shape[0]];
      const dx = side * right * Math.cos(face[1]) - down * Math.sin(face[1]);
      const dy = side * right * Math.sin(face[1]) + down * Math.cos(face[1]);
      Object.assign(node.style, {
        width: `${w}px`, height: `${h}px`, transform: `rotate(${turn}rad)`,
        left: `${(x + dx) * scale - w / 2}px`, top: `${(y + dy) * scale - h / 2}px`,
      });
      pad.append(node);
    });
  };
  const renew = async (version) => {
    if (shown.version === version) return;
    shown.version = version;
    const blob = await store.values.api.picture("edit", version).catch(() => null);
    if (!blob || shown.version !== version) return;
    URL.revokeObjectURL(shown.url);
    shown.url = URL.createObjectURL(blob);
    picture.src = shown.url;
  };
  picture.addEventListener("load", mark);

  pad.addEventListener("keydown", (event) => {
    const [name, step] = KEYS[event.key] ?? [];
    if (!name || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const value = within(name, now(name) + step * (event.shiftKey && event.key.startsWith("Arrow") ? FAST : 1));
    change({ [name]: Number(value.toFixed(4)) });
    mark();
  });
  let grip = null; // where a drag began: the pointer, the sticker's offset, and which of two
  pad.addEventListener("pointerdown", (event) => {
    const layer = layerOf(store.values);
    if (!layer) return;
    pad.setPointerCapture(event.pointerId);
    const { left } = pad.getBoundingClientRect();
    const x = ((event.clientX - left) * picture.naturalWidth) / picture.clientWidth;
    const [first, second] = layer.sticker.middles.map((middle) => Math.abs(middle[0] - x));
    const side = second < first ? -1 : 1; // the mirrored one was taken hold of
    grip = { x: event.clientX, y: event.clientY, right: now("right"), down: now("down"), side };
  });
  pad.addEventListener("pointermove", (event) => {
    const layer = layerOf(store.values);
    if (!grip || !layer) return;
    const { face } = layer.sticker;
    const unit = (face[0] * picture.clientWidth) / picture.naturalWidth;
    const [dx, dy] = [(event.clientX - grip.x) / unit, (event.clientY - grip.y) / unit];
    const [cos, sin] = [Math.cos(face[1]), Math.sin(face[1])];
    const moved = { right: grip.right + grip.side * (dx * cos + dy * sin), down: grip.down - dx * sin + dy * cos };
    change({ right: Number(within("right", moved.right).toFixed(4)), down: Number(within("down", moved.down).toFixed(4)) });
    mark();
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { grip = null; });

  spot.addEventListener("change", () => change({ at: spot.value }));
  const sliders = [["size", 100, "%"], ["turn", 1, "°"]].map(([name, times, unit]) => {
    const [input, field] = [byId(`placing-${name}`), name === "turn" ? "turn_deg" : name];
    input.addEventListener("input", () => change({ [field]: Number(input.value) / times }));
    return ({ sticker }) => {
      const value = Math.round(sticker[field] * times);
      if (document.activeElement !== input) input.value = String(value);
      root.querySelector(`output[for=placing-${name}]`).textContent = `${value} ${unit}`;
    };
  });
  const carried = [...root.querySelectorAll("[name=carried]")];
  for (const input of carried) input.addEventListener("change", () => change({ rigid: input.value === "rigid" }));

  store.watch(["state", "placing"], ({ state, placing }) => {
    const layer = layerOf({ state, placing });
    root.hidden = !layer;
    if (!layer) return;
    for (const [name, value] of Object.entries(wanted)) if (layer.sticker[name] === value) delete wanted[name];
    if (shown.layer !== layer.id) wanted = {};
    shown.layer = layer.id;
    byId("placing-title").textContent = layer.title;
    spot.value = layer.sticker.at;
    for (const input of carried) input.checked = (input.value === "rigid") === layer.sticker.rigid;
    for (const show of sliders) show(layer);
    renew(state.edit.version);
    mark();
  });
}
