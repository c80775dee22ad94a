/** Take the reference from the live picture, as the best of some seconds, or from a file; and download it. */

const TYPES = ["image/png", "image/jpeg", "image/webp"];
const LIMIT_BYTES = 32e6;
const OTHERS = [
  [/\.(heic|heif)$/i, "a HEIC picture", "Save it as JPEG or PNG. An iPhone takes JPEG with Settings → Camera → Formats → Most Compatible."],
  [/\.(psd|psb)$/i, "a Photoshop document", "Export it as PNG: File → Export → Quick Export as PNG."],
  [/\.(avif|jxl)$/i, "an AVIF or JPEG XL picture", "Save it as PNG, JPEG or WebP."],
  [/\.(tiff?|dng|cr[23]|nef|arw|xcf|kra)$/i, "a file of a camera or a painting program", "Export it as PNG or JPEG."],
];

/** Check a file before it is sent: message and hint, or null if it is fine. */
export function refuseFile(file) {
  const [, kind, way] = OTHERS.find(([name]) => name.test(file.name)) ?? [];
  if (kind) return [`“${file.name}” is ${kind}, which is not read here.`, way];
  if (!TYPES.includes(file.type)) {
    return [`“${file.name}” is not a picture this page takes.`, "Use PNG, JPEG or WebP."];
  }
  if (file.size > LIMIT_BYTES) {
    const size = (file.size / 1e6).toFixed(0);
    return [`“${file.name}” has ${size} MB; the limit is 32 MB.`, "Save it smaller or as JPEG."];
  }
  return null;
}

/** Keep an <img> up to date with a picture of the session. `version` null hides it. */
export function createThumb(root, name, store) {
  const image = root.querySelector("img");
  let shown = null;
  let url = "";
  return async (version) => {
    if (version === shown) return;
    shown = version;
    image.hidden = true;
    if (version === null) return;
    const blob = await store.values.api.picture(name, version);
    if (!blob || version !== shown) return;
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(blob);
    image.src = url; // not decoded first: the next version may come meanwhile
    image.hidden = false;
  };
}

function describe(reference) {
  if (!reference) return "";
  const size = `${reference.width}×${reference.height}`;
  if (reference.landmarks === false) return `${size}. No face was found in it: presets will not work.`;
  const { score } = reference;
  if (!Number.isFinite(score)) return size;
  if (score >= 0.7) return `Good reference, ${size}.`;
  const better = "Facing the camera with open eyes, sharp and large in the picture, is better.";
  const why = reference.weakness ? `: ${reference.weakness}` : "";
  return `${score >= 0.4 ? "Usable" : "Weak"} reference, ${size}${why}. ${score >= 0.4 ? "" : better}`.trim();
}

const byId = (id) => document.getElementById(id);

async function download(api) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await api.picture("reference"));
  link.download = "livery-reference.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function show({ state, taking, source }) {
  const reference = state?.reference ?? null;
  const live = Boolean(state?.source) && (source !== "none" || state.publishing);
  byId("take").disabled = byId("take-auto").disabled = !live; // not while taking: the focus would be lost
  byId("take").textContent = reference ? "Take again" : "Take reference";
  byId("take").classList.toggle("primary", !reference);
  byId("take-auto").textContent = taking ? "Watching…" : "Pick the best for me";
  byId("reference").setAttribute("aria-busy", String(taking));
  byId("download").disabled = byId("download-again").disabled = !reference;
  byId("reference-thumb").querySelector(".hint").hidden = Boolean(reference);
  const idle = live
    ? "Look straight into the camera with open eyes, and take a still."
    : "Start the camera, look straight into it, and take a still.";
  byId("reference-note").textContent = describe(reference) || idle;
}

/** @param {object} page store, status, ensure */
export function setUpReference({ store, status, ensure }) {
  const showThumb = createThumb(byId("reference-thumb"), "reference", store);

  const finish = (state) => {
    if (!state) return;
    const { warning, ...kept } = state;
    store.set({ state: kept });
    if (warning) status.warn("reference", "No face was found in the picture.", "Presets need one. Face the camera and take another.");
    else status.say("reference", kept.edit ? "New reference taken." : "Reference taken. Now edit it.");
  };

  const take = async (auto) => {
    const { api, taking } = store.values;
    if (taking) return;
    store.set({ taking: true });
    if (auto) status.say("reference", "Look straight into the camera…");
    try {
      finish(await status.attempt("reference", () => api.takeReference(auto)));
    } finally {
      store.set({ taking: false });
    }
  };

  const upload = async (file) => {
    const refused = refuseFile(file);
    if (refused) {
      status.fail("reference", ...refused);
      return;
    }
    const api = await ensure();
    if (!api) return;
    byId("reference-thumb").setAttribute("aria-busy", "true");
    const state = await status.attempt("reference", () => api.uploadReference(file));
    byId("reference-thumb").removeAttribute("aria-busy");
    finish(state);
  };

  byId("take").addEventListener("click", () => take(false));
  byId("take-auto").addEventListener("click", () => take(true));
  byId("reference-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) upload(file);
  });
  for (const id of ["download", "download-again"]) {
    byId(id).addEventListener("click", () => status.attempt("download", () => download(store.values.api)));
  }
  store.watch(["state", "taking", "source"], (values) => {
    show(values);
    status.attempt("thumb", () => showThumb(values.state?.reference?.version ?? null));
  });
  return { upload };
}
