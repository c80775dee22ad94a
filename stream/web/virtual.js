/** The "Virtual camera" switch. It is shown on the server's own machine only, because the camera is there. */

const HERE = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** @param {object} page store, status, ensure */
export function setUpVirtualCamera({ store, status, ensure }) {
  const box = document.getElementById("virtual-camera");
  box.closest("label").hidden = !HERE.has(location.hostname);
  box.addEventListener("change", async () => {
    const api = await ensure();
    const state = api && (await status.attempt("virtual-camera", () => api.virtualCamera(box.checked)));
    if (state) store.set({ state });
    else box.checked = Boolean(store.values.state?.virtual_camera);
    if (state?.virtual_camera) status.say("virtual-camera", `Other programs see it as “${state.virtual_camera}”.`);
  });
  store.watch(["state", "server"], ({ state, server }) => {
    box.checked = Boolean(state?.virtual_camera);
    box.disabled = server !== "up" || (!state?.publishing && !box.checked);
  });
}
