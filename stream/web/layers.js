/** The list of an edit's layers, the uppermost first: show, hide, fade, recolour, move and remove each. */

import { latest } from "./state.js";

const byId = (id) => document.getElementById(id);
const ICONS = {
  shown: "M2.5 10S5.5 5 10 5s7.5 5 7.5 5-3 5-7.5 5-7.5-5-7.5-5zM10 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  hidden: "M4 4l12 12M7.4 5.5A8 8 0 0 1 10 5c4.5 0 7.5 5 7.5 5a14 14 0 0 1-2.4 2.8M4.9 7.2A14 14 0 0 0 2.5 10s3 5 7.5 5c1 0 2-.2 2.8-.6",
  up: "M5 12l5-5 5 5",
  down: "M5 8l5 5 5-5",
  remove: "M6 6l8 8M14 6l-8 8",
  place: "M10 2v16M2 10h16M7.5 4.5 10 2l2.5 2.5M7.5 15.5 10 18l2.5-2.5M4.5 7.5 2 10l2.5 2.5M15.5 7.5 18 10l-2.5 2.5",
};

function button(className, icon, onClick) {
  const node = document.createElement("button");
  node.type = "button";
  node.className = `quiet icon ${className}`;
  node.innerHTML = `<svg aria-hidden="true" viewBox="0 0 20 20"><path d="${ICONS[icon]}"/></svg>`;
  node.addEventListener("click", onClick);
  return node;
}

function named(node, text) {
  node.title = text;
  node.setAttribute("aria-label", text);
}

/** What a change of a layer is an edit of: the edit that is shown, also where a newer reference has none yet. */
export const targetOf = ({ active, edit }) => ({ look: active, keyframe: edit.reference_version });

class Row {
  /**
   * @param {number} id of the layer
   * @param {{change: function(object), remove: function(), move: function(number), place: function()}} act
   */
  constructor(id, act) {
    this.id = id;
    this.node = document.createElement("li");
    this.node.className = "layer";
    this.node.dataset.layer = String(id);
    this.eye = button("eye", "shown", () => act.change({ shown: this.eye.getAttribute("aria-pressed") !== "true" }));
    this.title = document.createElement("span");
    this.title.className = "grow";
    this.colour = document.createElement("input");
    this.colour.type = "color";
    this.colour.addEventListener("input", () => act.change({ colour: this.colour.value }));
    this.strength = document.createElement("input");
    Object.assign(this.strength, { type: "range", min: "0", max: "100" });
    this.strength.addEventListener("input", () => act.change({ strength: Number(this.strength.value) / 100 }));
    this.up = button("up", "up", () => act.move(1));
    this.down = button("down", "down", () => act.move(-1));
    this.remove = button("remove", "remove", act.remove);
    this.place = button("place", "place", act.place);
    this.place.setAttribute("aria-controls", "placing");
    this.node.append(this.eye, this.title, this.colour, this.place, this.strength, this.up, this.down, this.remove);
  }

  show(layer, place, count, placing) {
    this.title.textContent = this.title.title = layer.title;
    this.node.dataset.shown = String(layer.shown);
    this.eye.setAttribute("aria-pressed", String(layer.shown));
    this.eye.querySelector("path").setAttribute("d", ICONS[layer.shown ? "shown" : "hidden"]);
    named(this.eye, `Show ${layer.title}`);
    named(this.up, `Move ${layer.title} up`);
    named(this.down, `Move ${layer.title} down`);
    named(this.remove, `Remove ${layer.title}`);
    named(this.strength, `Strength of ${layer.title}`);
    named(this.place, `Place ${layer.title}`);
    this.place.hidden = !layer.sticker;
    this.place.setAttribute("aria-expanded", String(placing === layer.id));
    this.colour.hidden = layer.colour === null;
    named(this.colour, `Colour of ${layer.title}`);
    if (layer.colour && document.activeElement !== this.colour) this.colour.value = layer.colour;
    const percent = String(Math.round(layer.strength * 100));
    if (document.activeElement !== this.strength) this.strength.value = percent;
    this.strength.title = `Strength of ${layer.title}: ${percent} %`;
    this.up.disabled = place === count - 1;
    this.down.disabled = place === 0;
  }
}

/** @param {object} page store, status */
export function setUpLayers({ store, status }) {
  const rows = new Map(); // by the layer's id
  const root = byId("layers");

  const act = async (run) => {
    const state = await status.attempt("edit", () => run(store.values.api, targetOf(store.values.state)));
    if (state) store.set({ state });
  };
  const rowOf = (id) => {
    const send = latest((patch) => act((api, target) => api.changeLayer(id, patch, target)));
    const move = (by) => {
      const { layers } = store.values.state;
      const place = layers.findIndex((layer) => layer.id === id) + by;
      if (place >= 0 && place < layers.length) send({ place });
    };
    const remove = () => act((api, target) => api.removeLayer(id, target));
    const place = () => store.set({ placing: store.values.placing === id ? null : id });
    return new Row(id, { change: send, move, remove, place });
  };

  store.watch(["state", "placing"], ({ state, placing }) => {
    const layers = state?.layers ?? [];
    byId("layers-title").hidden = root.hidden = layers.length === 0;
    const known = new Set(layers.map(({ id }) => id));
    for (const id of [...rows.keys()]) if (!known.has(id)) rows.delete(id);
    const nodes = layers.map((layer, place) => {
      if (!rows.has(layer.id)) rows.set(layer.id, rowOf(layer.id));
      rows.get(layer.id).show(layer, place, layers.length, placing);
      return rows.get(layer.id).node;
    });
    nodes.reverse();
    const { children } = root;
    if (nodes.length === children.length && nodes.every((node, at) => node === children[at])) return;
    const focused = document.activeElement; // moving a node takes the focus away
    root.replaceChildren(...nodes);
    if (root.contains(focused)) focused.focus();
  });
}
