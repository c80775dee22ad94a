/** The paint tab: the easel in place of the views, brush settings, and what happens to the painted picture. */

import { Easel } from "./easel.js";
import { Painter } from "./painter.js";
import { addSwatches } from "./presets.js";
import { debounce, recall, remember } from "./state.js";

const SWATCHES = ["#b3122d", "#f3d3bf", "#2a211f", "#ffffff", "#1f7a8c", "#e0a526"];
const APPLY_PAUSE_MS = 250;
const KEPT = "livery.painted"; // in this tab: strokes that a reload overtook
const BRUSH = { tool: "paint", colour: "#b3122d", size_px: 24, softness: 0.5, opacity: 0.8, mirror: false, picking: false };

const byId = (id) => document.getElementById(id);

/** Names what the easel should show: look, reference and edit in one string. "" without a reference. */
function versions(state) {
  return state?.reference ? `${state.active}/${state.reference.version}/${state.edit?.version ?? ""}` : "";
}

/** The layer of paint that strokes go to: the uppermost one, if it is paint at full strength. Else null. */
function sheetOf(state) {
  if (state?.edit?.reference_version !== state?.reference?.version) return null;
  const top = state?.layers.at(-1);
  return top?.kind === "paint" && top.shown && top.strength === 1 ? top.id : null;
}

/** The target of the next edit, from a state. */
const targetOf = (state) => ({ look: state?.active, keyframe: state?.reference?.version });
const blobOf = (base64) => new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/png" });
const isSame = (a, b) => a?.look === b?.look && a?.keyframe === b?.keyframe;

/** Whether an earlier target still exists. */
function isKept({ look, keyframe }, state) {
  if (look !== state.active) return state.looks.some(({ id }) => id === look);
  return state.keyframes.some(({ id }) => id === keyframe);
}

export class PaintPanel {
  #brush = { ...BRUSH, ...recall("brush") };
  #loaded = ""; // what is on the easel
  #target = null; // which look and keyframe that is
  #layer = null; // id of the layer that holds the paint; null: none yet
  #applying = null; // Promise of the sending under way
  #again = false; // changed while it was being applied
  #dirty = false; // changed since it was applied
  #applySoon = debounce(() => this.#applyWhenLifted(), APPLY_PAUSE_MS);

  /** @param {object} page store, status */
  constructor({ store, status }) {
    Object.assign(this, { store, status });
    this.painter = new Painter(byId("canvas"), () => this.#changed());
    this.easel = new Easel(byId("easel"), byId("brush-ring"), this.painter, this.#brush, {
      onPick: (colour) => this.#setBrush({ colour, picking: false }),
      onZoom: (scale) => (byId("zoom").textContent = `${Math.round(scale * 100)} %`),
      onSize: (size_px) => this.#setSize(size_px),
      say: (text) => status.say("brush", text),
    });
    this.#wireTools();
    this.#wireBrush();
    this.#showBrush();
    store.watch(["tab", "state"], () => this.#follow());
    store.watch(["api"], ({ api }) => (api ? this.#sendKept(api) : this.#forget()));
    addEventListener("pagehide", () => this.#keep());
    addEventListener("beforeunload", (event) => {
      if (this.#dirty && !byId("apply-live").checked) event.preventDefault(); // the browser asks
    });
  }

  /** Send what is painted but not sent yet, so that what is edited next comes after it. */
  async settle() {
    await this.#applying;
    if (this.painter.ready && !this.painter.drawing && this.#dirty) await this.#apply();
  }

  /** The page goes away: no time to send strokes that were to be applied, so a reload finds them here. */
  #keep() {
    if (!this.#dirty || !byId("apply-live").checked) return;
    const [, picture] = this.painter.sheet().toDataURL("image/png").split(",");
    const { id } = this.store.values.api.session;
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ id, target: this.#target, layer: this.#layer, picture }));
    } catch (error) {
      console.warn("strokes not sent yet cannot be kept: %s", error);
    }
  }

  /** Send what was kept before a reload. */
  async #sendKept(api) {
    const { id, target, layer, picture } = JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
    sessionStorage.removeItem(KEPT);
    if (id !== api.session.id) return;
    const state = await this.status.attempt("edit", () => api.putPaint(blobOf(picture), layer, target));
    if (state) this.store.set({ state });
  }

  /** There is no session any more to send strokes to. */
  #forget() {
    this.#loaded = "";
    this.#target = this.#layer = null;
    this.painter.unload();
  }

  #wireTools() {
    const on = (id, run) => byId(id).addEventListener("click", run);
    on("undo", () => this.painter.undo());
    on("redo", () => this.painter.redo());
    on("restore", () => this.painter.restore());
    on("apply", () => this.#apply());
    on("zoom-in", () => this.easel.zoomIn());
    on("zoom-out", () => this.easel.zoomOut());
    on("zoom-fit", () => this.easel.fit());
    on("close-paint", () => {
      this.store.set({ tab: "presets" });
      byId("tab-presets").focus();
    });
    on("show-result", ({ currentTarget }) => {
      const shown = currentTarget.getAttribute("aria-pressed") !== "true";
      currentTarget.setAttribute("aria-pressed", String(shown));
      byId("stage").dataset.result = String(shown);
    });
  }

  #wireBrush() {
    for (const input of document.querySelectorAll('input[name="tool"]')) {
      input.addEventListener("change", () => this.#setBrush({ tool: input.value }));
    }
    const on = (id, run) => byId(id).addEventListener("input", (event) => run(event.target.value));
    on("brush-size", (value) => this.#setSize(Number(value)));
    on("brush-softness", (value) => this.#setBrush({ softness: Number(value) / 100 }));
    on("brush-opacity", (value) => this.#setBrush({ opacity: Number(value) / 100 }));
    on("brush-colour", (colour) => {
      this.#setBrush(this.#brush.tool === "erase" ? { colour, tool: "paint" } : { colour });
    });
    byId("pick").addEventListener("click", () => this.#setBrush({ picking: !this.#brush.picking }));
    byId("mirror-brush").addEventListener("change", ({ target }) => this.#setBrush({ mirror: target.checked }));
    addSwatches(byId("brush-swatches"), byId("brush-colour"), SWATCHES);
  }

  #setSize(size_px) {
    this.#setBrush({ size_px: Math.round(Math.min(200, Math.max(1, size_px))) });
  }

  #setBrush(patch) {
    Object.assign(this.#brush, patch);
    remember("brush", { ...this.#brush, picking: false });
    this.#showBrush();
  }

  #showBrush() {
    const { tool, colour, size_px, softness, opacity, mirror, picking } = this.#brush;
    const put = (id, value, unit) => {
      byId(id).value = String(Math.round(value));
      document.querySelector(`output[for="${id}"]`).textContent = `${Math.round(value)} ${unit}`;
    };
    put("brush-size", size_px, "px");
    put("brush-softness", softness * 100, "%");
    put("brush-opacity", opacity * 100, "%");
    byId("brush-colour").value = colour;
    byId("pick").setAttribute("aria-pressed", String(picking));
    byId("easel").dataset.picking = String(picking);
    byId("mirror-brush").checked = mirror;
    byId("brush-softness").labels[0].textContent = tool === "fill" ? "Tolerance" : "Softness";
    document.querySelector(`input[name="tool"][value="${tool}"]`).checked = true;
  }

  #showButtons() {
    const { ready, canUndo, canRedo } = this.painter;
    byId("undo").disabled = !canUndo;
    byId("redo").disabled = !canRedo;
    byId("restore").disabled = !ready;
    byId("apply").disabled = !ready || this.#applying !== null || !this.#dirty;
    byId("apply").textContent = this.#applying ? "Applying…" : "Apply";
  }

  /** The picture on the easel changed: by a stroke, undo, redo, or because another one was loaded. */
  #changed() {
    const { canUndo, canRedo } = this.painter;
    this.#dirty = canUndo || canRedo; // neither: just loaded
    this.#again = this.#applying !== null && this.#dirty;
    this.#showButtons();
    if (this.#dirty && byId("apply-live").checked) this.#applySoon();
  }

  #applyWhenLifted() {
    if (this.painter.ready && !this.painter.drawing && this.#dirty) this.#apply();
  }

  #apply() {
    this.#applying ??= this.#send();
    this.#showButtons();
    return this.#applying;
  }

  async #send() {
    const { api } = this.store.values;
    const [target, layer] = [this.#target, this.#layer];
    const after = await this.status.attempt("edit", async () => {
      if (this.painter.painted) return api.putPaint(await this.painter.toBlob(), layer, target);
      return layer === null ? this.store.values.state : api.dropPaint(layer, target);
    });
    this.#applying = null;
    if (after || !isSame(target, targetOf(this.store.values.state))) {
      this.#dirty = this.#again; // what was refused for an earlier target is given up
    }
    if (after) {
      if (isSame(target, targetOf(after))) {
        this.#loaded = versions(after);
        this.#layer = sheetOf(after);
      }
      this.store.set({ state: after });
    }
    this.#again = false;
    this.#showButtons();
    if (after && this.#dirty && byId("apply-live").checked) this.#applySoon();
    this.#follow();
  }

  async #load() {
    const { api, state } = this.store.values;
    const wanted = versions(state);
    this.#loaded = wanted;
    this.painter.wait(true);
    byId("easel").setAttribute("aria-busy", "true");
    this.#showButtons();
    try {
      await this.#fetch(api, state, wanted);
    } catch (error) {
      if (this.#loaded === wanted) this.painter.wait(false); // the picture from before stays
      this.#showButtons();
      throw error;
    } finally {
      if (this.#loaded === wanted) byId("easel").removeAttribute("aria-busy");
    }
  }

  async #fetch(api, state, wanted) {
    const edited = state.edit && state.edit.reference_version === state.reference.version;
    const layer = sheetOf(state);
    const target = targetOf(state);
    const pictures = [api.picture("reference", state.reference.version)];
    if (layer !== null) pictures.push(...["below", "picture"].map((name) => api.layerPicture(layer, name, target)));
    else if (edited) pictures.push(api.picture("edit", state.edit.version));
    const blobs = await Promise.all(pictures);
    if (this.#loaded !== wanted || blobs.includes(null)) return; // another one is to be loaded by now
    this.#target = target;
    this.#layer = layer;
    this.painter.axis = state.reference.axis;
    await this.painter.load(...blobs);
    this.easel.fit();
  }

  #follow() {
    const { tab, state } = this.store.values;
    const open = tab === "paint" && Boolean(state?.reference);
    const opened = open && byId("easel").hidden;
    byId("stage").dataset.mode = open ? "paint" : "view";
    byId("easel").hidden = byId("paint-tools").hidden = !open;
    byId("view-tools").hidden = open;
    byId("paint-note").hidden = open;
    byId("brush-controls").hidden = !open;
    if (opened) byId("paint-tools").scrollIntoView({ block: "nearest" });
    const stale = versions(state) !== this.#loaded;
    if (!open || !stale || this.#applying || this.painter.drawing) return;
    const leaving = this.#dirty && !isSame(this.#target, targetOf(state)) && isKept(this.#target, state);
    if (leaving) this.#apply(); // the strokes, before another picture takes their place
    else this.status.attempt("paint", () => this.#load());
  }
}
