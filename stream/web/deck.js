/** MIDI controls and a gamepad's buttons and sticks, bound to looks, strength and the live picture. */

import { debounce, recall, remember } from "./state.js";

const SETTLE_MS = 40; // a fader that moves is heard this often
const PRESSED = 0.5; // of a control's way: a button, or a fader used as one
const MOVED = 0.15; // a stick or fader must move by this much to be bound
const byId = (id) => document.getElementById(id);

/** A MIDI message as [name of the control, its place in 0..1]; null for what is no control. */
export function midiControl([status, number, value]) {
  const [kind, channel] = [status & 0xf0, (status & 0x0f) + 1];
  if (kind === 0xb0) return [`MIDI ${channel} controller ${number}`, value / 127];
  if (kind === 0x90) return [`MIDI ${channel} note ${number}`, value / 127];
  if (kind === 0x80) return [`MIDI ${channel} note ${number}`, 0];
  return null;
}

/**
 * @param {object} page store, status, send
 * @param {{wear: function(number): void, hold: function(boolean): void}} looks see `setUpLooks`
 */
export function setUpDeck({ store, status, send }, { wear, hold }) {
  const bound = new Map(Object.entries(recall("deck", {}))); // control -> "look 1" … "look 9", "strength", "live"
  const places = new Map(); // control -> its place when it was last heard
  let waits = null; // the action that the next control is bound to

  const setStrength = debounce((strength) => send({ type: "settings", strength }), SETTLE_MS);
  const act = (action, place, before) => {
    const [pressed, was] = [place >= PRESSED, before >= PRESSED];
    if (action === "strength") setStrength(place);
    else if (pressed === was) return;
    else if (action === "live") hold(pressed);
    else if (pressed) wear(Number(action.split(" ")[1]) - 1);
  };

  const show = () => {
    const rows = [...bound].map(([control, action]) => {
      const row = document.createElement("li");
      const remove = document.createElement("button");
      [remove.type, remove.className, remove.textContent] = ["button", "link", "Remove"];
      remove.addEventListener("click", () => {
        bound.delete(control);
        keep();
      });
      row.append(`${control}: ${action} `, remove);
      return row;
    });
    byId("deck-list").replaceChildren(...rows);
    byId("deck-note").textContent = waits ? `Move or press the control for “${waits}” now.` : "";
    byId("deck-bind").setAttribute("aria-pressed", String(waits !== null));
  };
  const keep = () => {
    remember("deck", Object.fromEntries(bound));
    show();
  };

  /** A control is at a place. */
  const heard = (control, place) => {
    const before = places.get(control) ?? 0;
    places.set(control, place);
    if (waits !== null) {
      if (Math.abs(place - before) < MOVED) return;
      bound.set(control, waits);
      waits = null;
      keep();
    } else if (bound.has(control) && store.values.state) {
      act(bound.get(control), place, before);
    }
  };

  const listenToMidi = async () => {
    if (!navigator.requestMIDIAccess) return false;
    try {
      const access = await navigator.requestMIDIAccess();
      const listen = () => {
        for (const input of access.inputs.values()) {
          input.onmidimessage = ({ data }) => {
            const control = midiControl(data);
            if (control) heard(...control);
          };
        }
      };
      access.onstatechange = listen;
      listen();
      return true;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      return false;
    }
  };

  const readGamepads = () => {
    for (const pad of navigator.getGamepads()) {
      if (!pad) continue;
      const name = `Gamepad ${pad.index + 1}`;
      pad.buttons.forEach(({ value }, number) => tell(`${name} button ${number + 1}`, value));
      pad.axes.forEach((value, number) => tell(`${name} axis ${number + 1}`, (value + 1) / 2));
    }
    requestAnimationFrame(readGamepads);
  };
  const tell = (control, place) => {
    if (!places.has(control)) places.set(control, place); // where it rests
    else if (places.get(control) !== place) heard(control, place);
  };

  let listening = false;
  const listen = async () => {
    if (listening) return;
    listening = true;
    requestAnimationFrame(readGamepads);
    if (!(await listenToMidi())) status.say("deck", "This browser does not offer MIDI on this page. Gamepads work.");
  };

  byId("open-deck").addEventListener("click", async () => {
    show();
    byId("deck").showModal();
    await listen();
  });
  byId("deck-bind").addEventListener("click", () => {
    waits = waits === null ? byId("deck-action").value : null;
    show();
  });
  byId("deck").addEventListener("close", () => (waits = null));
  if (bound.size > 0) listen();
}
