/** Stickers on the face, and a picture behind the person: each becomes a layer of paint. */

import { refuseFile } from "./reference.js";

const byId = (id) => document.getElementById(id);

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
    if (after) store.set({ state: after });
  };
  const onFile = (id, take) => {
    byId(id).addEventListener("change", (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) take(file);
    });
  };
  onFile("sticker-file", (file) => add("sticker", file, { spot: byId("sticker-spot").value, size: Number(size.value) / 100 }));
  onFile("backdrop-file", (file) => add("backdrop", file));
  store.watch(["state"], ({ state }) => {
    const { reference } = state ?? {};
    byId("stickers").hidden = !reference;
    byId("sticker-file").disabled = !reference?.landmarks;
  });
}
