/** Looks as files: save the active one, open one that was chosen or dropped. */

const byId = (id) => document.getElementById(id);
const LIMIT_BYTES = 32e6;

/** Whether a file is called like a look file. */
export const isLookFile = (file) => file.name.toLowerCase().endsWith(".livery");

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/[^\p{L}\p{N} _-]+/gu, "") || "look"}.livery`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/**
 * @param {object} page store, status, ensure
 * @returns {function(File): void} asks whose a look file is and opens it
 */
export function setUpExchange({ store, status, ensure }) {
  const dialog = byId("import");
  let chosen = null; // File that is asked about

  const open = async (own) => {
    dialog.close();
    const api = await ensure();
    if (!api) return;
    status.say("look", "Opening the look…");
    const after = await status.attempt("look", () => api.importLook(chosen, own));
    if (!after) return;
    const { left, ...state } = after;
    store.set({ state });
    if (left.length > 0) status.warn("look", "The look is worn, but not all of it.", left.join(" "));
    else status.say("look", "The look is opened. You are wearing it.");
  };
  const ask = (file) => {
    if (file.size > LIMIT_BYTES) {
      status.fail("look", `“${file.name}” has ${(file.size / 1e6).toFixed(0)} MB; the limit is 32 MB.`, "Save the look with a smaller reference.");
      return;
    }
    chosen = file;
    byId("look").close();
    byId("import-name").textContent = file.name;
    byId("import-other").disabled = !store.values.state?.reference?.landmarks;
    byId("import-other").title = byId("import-other").disabled ? "Take a reference with your face first" : "";
    dialog.showModal();
  };

  byId("import-own").addEventListener("click", () => open(true));
  byId("import-other").addEventListener("click", () => open(false));
  byId("look-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) ask(file);
  });
  byId("export-look").addEventListener("click", () => {
    const { api, state } = store.values;
    const { id, name } = state.looks.find((look) => look.id === state.active);
    status.attempt("look", async () => save(await api.lookFile(id), name));
  });
  store.watch(["state"], ({ state }) => {
    const look = state?.looks.find(({ id }) => id === state.active);
    byId("export-look").disabled = !look?.edited;
  });
  return ask;
}
