/** Undo and redo of the session's edits. Strokes on the easel have their own undo. */

const byId = (id) => document.getElementById(id);

/**
 * @param {object} page store, status
 * @returns {function(boolean, boolean=): Promise<void>} takes a step back, or with true on again, after the steps
 *   that are under way; one that a held key `repeated` is left out then
 */
export function setUpUndo({ store, status }) {
  const waiting = [];
  let busy = false;
  const one = async (again) => {
    await store.values.api?.settle(); // a stroke is a step to take back, too
    const { api, state } = store.values;
    if (!(again ? state?.redo : state?.undo)) return;
    const after = await status.attempt("edit", () => api.undo(again));
    if (after) store.set({ state: after });
  };
  const step = async (again, repeated = false) => {
    if (busy && repeated) return;
    waiting.push(again);
    if (busy) return;
    busy = true;
    try {
      while (waiting.length > 0) await one(waiting.shift());
    } finally {
      waiting.length = 0;
      busy = false;
    }
  };
  const show = (button, word, label) => {
    button.disabled = !label;
    button.title = label ? `${word}: ${label}` : `${word} an edit`;
    button.setAttribute("aria-label", button.title);
  };
  byId("undo-edit").addEventListener("click", () => step(false));
  byId("redo-edit").addEventListener("click", () => step(true));
  store.watch(["state"], ({ state }) => {
    show(byId("undo-edit"), "Undo", state?.undo);
    show(byId("redo-edit"), "Redo", state?.redo);
  });
  return step;
}
