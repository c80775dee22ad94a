/** Hot-keys: 1 to 9 wear a look, 0 or Escape shows the live picture while held, Ctrl+Z undoes an edit. */

const TYPED = "input:not([type=range], [type=radio], [type=checkbox], [type=color], [type=file]), textarea, select";

function isTyping(target) {
  return target instanceof Element && (target.closest(TYPED) !== null || target.isContentEditable);
}

/** The digit of a key event, of the row above the letters in any layout or of the number pad; null for others. */
function digit({ code, key }) {
  if (/^Digit\d$/.test(code)) return Number(code.at(-1));
  return /^Numpad\d$/.test(code) && /^\d$/.test(key) ? Number(key) : null;
}

/** The action of a key press: ["hold"], ["wear", place], ["undo", again] or null. */
function meaning(event) {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  if (altKey) return null;
  if (ctrlKey || metaKey) {
    if (key.toLowerCase() === "z") return ["undo", shiftKey];
    return key.toLowerCase() === "y" ? ["undo", true] : null;
  }
  const number = digit(event);
  if (key === "Escape" || number === 0) return ["hold"];
  return number === null ? null : ["wear", number - 1];
}

/**
 * Silent while someone types, in dialogs, and where the key did something else (the easel has its own).
 * @param {object} store
 * @param {object} actions
 * @param {function(number): void} actions.wear
 * @param {function(boolean): void} actions.hold
 * @param {function(boolean, boolean): void} actions.undo again; whether a held key repeats it
 */
export function setUpKeys(store, { wear, hold, undo }) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const meant = meaning(event);
    if (!meant || !store.values.state) return;
    event.preventDefault();
    const [what, which] = meant;
    if (what === "undo") undo(which, event.repeat);
    else if (event.repeat) return;
    else if (what === "hold") hold(true);
    else wear(which);
  });
  addEventListener("keyup", (event) => {
    if (event.key === "Escape" || digit(event) === 0) hold(false);
  });
}
