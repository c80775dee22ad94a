/** One step of the session's edits back, or on again; strokes on the easel have their own steps. */

const byId = (id) => document.getElementById(id);

/**
 * @param {object} page store, status
 * @returns {function(boolean): Promise<void>} takes a step back, or with true on again
 */
export function setUpUndo({ store, status }) {
  const step = async (again) => {
    const { api, state } = store.values;
    if (!(again ? state?.redo : state?.undo)) return;
    const after = await status.attempt("edit", () => api.undo(again));
    if (after) store.set({ state: after });
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
