/** The palette of presets: one button each, then its colour and intensity. */

import { debounce, latest, recall, remember } from "./state.js";

const COLUMNS = 6; // of the sheet of previews
const SVG = "http://www.w3.org/2000/svg";
const SWATCHES = ["#b3122d", "#d6336c", "#c2553a", "#7a3b2e", "#5b4bb5", "#1f7a8c", "#3f7d3a", "#e0a526"];

/** The coloured part of a preset button's icon, by a word in the preset's name. */
const PARTS = [
  [/backdrop/, "M4 4h24v24H4zM16 5C11.5 5 8.5 8.5 8.5 14.5 8.5 21 11.5 27 16 27s7.5-6 7.5-12.500C23.5 8.5 20.5 5 16 5z"],
  [/mono|sepia|faded|cinema|vivid|cool/, "M16 4C11 4 7.5 8 7.5 14.5 7.5 22 11 28 16 28z"],
  [/teeth/, "M12.5 22.800h7c-.5 2.2-6.5 2.2-7 0z"],
  [/under_eye/, "M9.5 16c1.2 1.5 3.6 1.5 4.8 0-.6 2.3-4.2 2.3-4.8 0zM17.7 16c1.2 1.5 3.6 1.5 4.8 0-.6 2.3-4.2 2.3-4.8 0z"],
  [/lashes|eye_white/, "M9 14c1-2.2 4-2.2 5 0-1 1.6-4 1.6-5 0zM18 14c1-2.2 4-2.2 5 0-1 1.6-4 1.6-5 0z"],
  [/beard/, "M8.5 19c1.5 1.5 3 1.8 4.5 1.3 2-.7 4-.7 6 0 1.5.5 3 .2 4.5-1.300C22.5 24.5 20 28 16 28s-6.5-3.5-7.5-9z"],
  [/smooth|even/, "M16 4C11 4 7.5 8 7.5 14.5 7.5 22 11 28 16 28s8.5-6 8.5-13.500C24.5 8 21 4 16 4z"],
  [/highlight/, "M8.8 17.500l4.2-1.7-.3 1.300zM23.2 17.500l-4.2-1.7.3 1.300zM15.5 10h1v8h-1z"],
  [/clown/, "M8.5 14a2.8 2.8 0 1 1 5.6 0a2.8 2.8 0 1 1-5.6 0zM17.9 14a2.8 2.8 0 1 1 5.6 0a2.8 2.8 0 1 1-5.6 0zM13.8 18.6a2.2 2.2 0 1 1 4.4 0a2.2 2.2 0 1 1-4.4 0zM10.5 22.8h11c-1.2 4-9.8 4-11 0z"],
  [/lip|mouth|gloss/, "M11 23.5c2-1.6 3.5-1.8 5-.9 1.5-.9 3-.7 5 .9-1.5 3-8.5 3-10 0z"],
  [/blush|cheek|rouge/, "M9 19a2.4 2.4 0 1 1 4.8 0a2.4 2.4 0 1 1-4.8 0zM18.2 19a2.4 2.4 0 1 1 4.8 0a2.4 2.4 0 1 1-4.8 0z"],
  [/liner/, "M8.6 14.4c1-2 4.4-2 5.9.1l-.5.6c-1.5-1.2-3.6-1.2-5.2-.1l-1.3-.9zM23.4 14.4c-1-2-4.4-2-5.9.1l.5.6c1.5-1.2 3.6-1.2 5.2-.1l1.3-.9z"],
  [/shadow|lid|eye(?!brow)/, "M8.5 14c1-3.2 5-3.2 6 0zM17.5 14c1-3.2 5-3.2 6 0z"],
  [/brow/, "M8 11.8c1.6-2.2 4.4-2.4 6.5-1v1.7c-2-1-4.4-1-6.5-.7zM24 11.8c-1.6-2.2-4.4-2.4-6.5-1v1.7c2-1 4.4-1 6.5-.7z"],
  [/hair/, "M16 3.5C10.4 3.5 7 8 7 14.6c1.6-4.2 4.6-6 9-6s7.4 1.8 9 6C25 8 21.6 3.5 16 3.5z"],
  [/freckle|spot/, "M10 17h1.4v1.4H10zM12.8 18.8h1.4v1.4h-1.4zM17.8 18.8h1.4v1.4h-1.4zM20.6 17H22v1.4h-1.4zM15.3 16.6h1.4V18h-1.4z"],
  [/contour|powder|sculpt/, "M8 17c2.5 1.2 4 2.5 5 4.5-.5 1.5-1.5 2.5-2.6 3.3C8.9 22.8 8.2 20 8 17zM24 17c-2.5 1.2-4 2.5-5 4.5.5 1.5 1.5 2.5 2.6 3.3 1.5-2 2.2-4.8 2.4-7.8z"],
  [/tiger|stripe|cat/, "M14.5 5.5h3L16 10.5zM10.5 7.5l2.2-1.2.8 4.2zM21.5 7.5l-2.2-1.2-.8 4.2zM7.6 17l5 1.2-5 .8zM24.4 17l-5 1.2 5 .8zM8.2 21l4.3.2-3.7 1.6zM23.8 21l-4.3.2 3.7 1.6z"],
  [/paint|war|flag/, "M8 16h5.5v1.8H8zM8.4 19.5h5.1v1.8H8.8zM24 16h-5.5v1.8H24zM23.6 19.5h-5.1v1.8h4.7z"],
  [/warm|tone|tan|skin|glow|light/, "M16 4C11 4 7.5 8 7.5 14.5 7.5 22 11 28 16 28z"],
];
const OTHER_PART = "M16 6.5l1.2 2.6 2.8.3-2.1 1.9.6 2.8-2.5-1.4-2.5 1.4.6-2.8-2.1-1.9 2.8-.3z";
const FACE = "M16 4C11 4 7.5 8 7.5 14.5 7.5 22 11 28 16 28s8.5-6 8.5-13.5C24.5 8 21 4 16 4z";
const FEATURES = "M10 14h3M19 14h3M13 23.5h6M16 15v4";

function path(shape, className) {
  const node = document.createElementNS(SVG, "path");
  node.setAttribute("d", shape);
  node.setAttribute("class", className);
  return node;
}

function icon(name, colour) {
  const part = PARTS.find(([word]) => word.test(name))?.[1] ?? OTHER_PART;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("aria-hidden", "true");
  const shown = path(part, "part");
  shown.style.fill = colour;
  svg.append(path(FACE, "face"), path(FEATURES, "features"), shown);
  return svg;
}

/** A row of colour buttons that set an <input type="color">. */
export function addSwatches(root, input, colours) {
  for (const colour of colours) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "swatch";
    button.style.background = colour;
    button.setAttribute("aria-label", `Colour ${colour}`);
    button.addEventListener("click", () => {
      input.value = colour;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    root.append(button);
  }
}

function presetButton(preset, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "preset";
  button.dataset.preset = preset.name;
  const title = document.createElement("span");
  title.textContent = preset.title;
  if (preset.needs) button.title = preset.needs;
  const seen = document.createElement("span");
  seen.className = "seen";
  seen.hidden = true;
  button.append(icon(preset.name, preset.colour), seen, title);
  button.addEventListener("click", onClick);
  return button;
}

/** A group of presets under its heading, which folds. */
function presetGroup(name, buttons) {
  const group = document.createElement("details");
  group.open = recall(`group.${name}`, true);
  group.addEventListener("toggle", () => remember(`group.${name}`, group.open));
  const heading = document.createElement("summary");
  heading.textContent = name;
  const grid = document.createElement("div");
  grid.className = "palette";
  grid.append(...buttons);
  group.append(heading, grid);
  return group;
}

/** The presets worn, as layers by name. */
const wornIn = (state) => new Map((state?.layers ?? []).filter(({ preset }) => preset).map((layer) => [layer.preset, layer]));

/** @param {object} page store, status */
export function setUpPresets({ store, status }) {
  const byId = (id) => document.getElementById(id);
  const colour = byId("preset-colour");
  const strength = byId("preset-strength");
  const offers = new Map(); // by name: the preset with the colour last chosen, and its button
  let chosen = null; // name of the preset whose colour and intensity are shown

  /** What a preset's button waits for: a sign on it meanwhile. */
  const waitFor = async (name, act) => {
    const { button } = offers.get(name);
    button.setAttribute("aria-busy", "true");
    const state = await status.attempt("edit", act);
    button.removeAttribute("aria-busy");
    if (state) store.set({ state });
  };
  const apply = latest((choice) => waitFor(choice.name, () => store.values.api.preset(choice)));
  const applySoon = debounce(apply, 150);
  /** A preset for what is edited now, whatever look is worn when it is sent. */
  const choose = (name, amount) => {
    const { active, focus } = store.values.state;
    return { name, colour: offers.get(name).colour, strength: amount, look: active, keyframe: focus };
  };
  const again = () => {
    if (offers.has(chosen)) applySoon(choose(chosen, Number(strength.value) / 100));
  };
  const keepColour = (name, value) => {
    offers.get(name).colour = value;
    offers.get(name).button.querySelector(".part").style.fill = value;
  };
  /** Put a preset on, or take it off where it is worn already. */
  const toggle = async (preset) => {
    const { api, state } = store.values;
    const layer = wornIn(state).get(preset.name);
    if (!layer) {
      chosen = preset.name;
      apply(choose(preset.name, preset.strength));
      return;
    }
    const target = { look: state.active, keyframe: state.edit.reference_version };
    await waitFor(preset.name, () => api.removeLayer(layer.id, target));
  };

  colour.addEventListener("input", () => {
    if (!offers.has(chosen)) return;
    keepColour(chosen, colour.value);
    again();
  });
  strength.addEventListener("input", again);
  addSwatches(byId("preset-swatches"), colour, SWATCHES);

  store.watch(["presets"], ({ presets }) => {
    offers.clear();
    for (const preset of presets ?? []) {
      const button = presetButton(preset, () => toggle(preset));
      offers.set(preset.name, { ...preset, button });
    }
    const groups = new Map(); // by heading: its buttons
    for (const { group, button } of offers.values()) groups.set(group, [...(groups.get(group) ?? []), button]);
    byId("palette").replaceChildren(...[...groups].map(([name, buttons]) => presetGroup(name, buttons)));
  });

  setUpPreviews(offers, store, status);
  store.watch(["presets", "state"], ({ state }) => {
    const worn = wornIn(state);
    if (!worn.has(chosen)) chosen = [...worn.keys()].at(-1) ?? null;
    showOffers(offers, state, worn, chosen);
    if (!offers.has(chosen)) return;
    const layer = worn.get(chosen);
    if (document.activeElement !== colour) {
      if (layer.colour) keepColour(chosen, layer.colour);
      colour.value = offers.get(chosen).colour;
    }
    const amount = layer.strength;
    if (document.activeElement !== strength) strength.value = String(Math.round(amount * 100));
    strength.dispatchEvent(new Event("shown"));
  });
}

/** Show each preset on the user's own face, once there is a reference; until then as a drawing. */
function setUpPreviews(offers, store, status) {
  let shown = null; // version of the reference that the previews are of
  let url = "";
  const show = async (version) => {
    shown = version;
    const { api } = store.values;
    const blob = version === null ? null : await status.attempt("previews", () => api.previews(version));
    if (shown !== version) return;
    if (url) URL.revokeObjectURL(url);
    url = blob ? URL.createObjectURL(blob) : "";
    const rows = Math.ceil(offers.size / COLUMNS);
    [...offers.values()].forEach(({ button }, number) => {
      const seen = button.querySelector(".seen");
      seen.hidden = !url;
      button.querySelector("svg").toggleAttribute("hidden", Boolean(url));
      seen.style.backgroundImage = url && `url("${url}")`;
      seen.style.backgroundSize = `${100 * COLUMNS}% ${100 * rows}%`;
      const [column, row] = [number % COLUMNS, Math.floor(number / COLUMNS)];
      seen.style.backgroundPosition = `${(100 * column) / (COLUMNS - 1)}% ${(100 * row) / Math.max(1, rows - 1)}%`;
    });
  };
  store.watch(["presets", "state"], ({ state }) => {
    const version = state?.reference?.landmarks ? state.reference.version : null;
    if (version !== shown && offers.size > 0) show(version);
  });
}

function showOffers(offers, state, worn, chosen) {
  for (const offer of offers.values()) {
    offer.button.disabled = !state?.reference || (offer.needs_face && !state.reference.landmarks);
    offer.button.setAttribute("aria-pressed", String(worn.has(offer.name)));
  }
  document.getElementById("preset-note").textContent = presetNote(state);
  const { title, coloured, needs } = offers.get(chosen) ?? {};
  document.getElementById("preset-colours").hidden = !coloured;
  document.getElementById("preset-controls").hidden = !title;
  document.getElementById("preset-controls").setAttribute("aria-label", title ? `Of ${title}` : "");
  document.getElementById("preset-chosen").textContent = title ?? "";
  Object.assign(document.getElementById("preset-needs"), { hidden: !needs, textContent: needs ?? "" });
}

function presetNote(state) {
  if (!state?.reference) return "Take a reference first; each preset is drawn on it.";
  if (state.reference.landmarks === false) {
    return "No face was found in the reference; most presets need one. Painting works without.";
  }
  return "Each adds to what is there; choosing it again takes it off.";
}
