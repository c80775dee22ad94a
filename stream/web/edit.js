/** The edit panel: its tabs, uploads of edited pictures, and controls common to all edits. */

import { isLookFile } from "./exchange.js";
import { FileFollower } from "./follow.js";
import { createThumb, refuseFile } from "./reference.js";
import { latest } from "./state.js";

const TABS = ["presets", "paint", "picture", "words"];

/** Tabs after the WAI-ARIA pattern: arrows move, Home and End jump. */
function setUpTabs(store) {
  const tab = (name) => document.getElementById(`tab-${name}`);
  const keys = { ArrowLeft: -1, ArrowRight: 1 };
  const offered = () => TABS.filter((name) => !tab(name).hidden);
  for (const name of TABS) {
    tab(name).addEventListener("click", () => store.set({ tab: name }));
    tab(name).addEventListener("keydown", (event) => {
      const names = offered();
      let to = names.indexOf(name);
      if (event.key in keys) to = (to + keys[event.key] + names.length) % names.length;
      else if (event.key === "Home") to = 0;
      else if (event.key === "End") to = names.length - 1;
      else return;
      event.preventDefault();
      store.set({ tab: names[to] });
      tab(names[to]).focus();
    });
  }
  store.watch(["tab"], (values) => {
    for (const name of TABS) {
      tab(name).setAttribute("aria-selected", String(name === values.tab));
      tab(name).tabIndex = name === values.tab ? 0 : -1;
      document.getElementById(`panel-${name}`).hidden = name !== values.tab;
    }
  });
}

/** Pictures dropped on the page or pasted into it. */
function setUpDrop(onFile) {
  const root = document.documentElement;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    root.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) root.classList.remove("dropping");
  });
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    root.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    const [item] = event.dataTransfer.items; // asked at once: it is empty after the event
    onFile(file, (await item?.getAsFileSystemHandle?.().catch(() => null)) ?? null);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) onFile(file);
  });
}

/**
 * @param {object} page store, status
 * @param {function(File): Promise<void>} uploadReference takes a dropped picture where there is no reference yet
 * @param {function(File): void} importLook takes a dropped look file
 */
export function setUpEdit({ store, status }, uploadReference, importLook) {
  const byId = (id) => document.getElementById(id);
  const showThumb = createThumb(byId("edit-thumb"), "edit", store);
  setUpTabs(store);

  const follower = new FileFollower((name) => {
    byId("followed").hidden = name === null;
    byId("followed-name").textContent = `“${name}” is followed: saved again, it is worn again.`;
  });
  /** Take each saved version of the picture that a layer was made of. */
  const follow = (handle, file, { active, edit, layers }) => {
    const [target, layer] = [{ look: active, keyframe: edit.reference_version }, layers.at(-1).id];
    follower.follow(handle, file, async (saved) => {
      const { api } = store.values;
      if (!api || refuseFile(saved)) return false;
      const after = await status.attempt("edit", () => api.renewPicture(saved, layer, target));
      if (after) store.set({ state: after });
      return Boolean(after);
    });
  };

  /** Ask before a picture is worn that hardly resembles its reference. */
  const askWhetherSure = (file) => {
    const dialog = byId("doubt");
    byId("doubt-name").textContent = file.name;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "sure"), { once: true });
    });
  };
  /** Lay a picture on; null if it was not taken. */
  const add = async (file, target) => {
    const { api } = store.values;
    try {
      return await api.addPicture(file, target, false);
    } catch (error) {
      if (error.status !== 428) throw error;
    }
    return (await askWhetherSure(file)) ? api.addPicture(file, target, true) : null;
  };

  const upload = async (file, handle = null) => {
    if (isLookFile(file)) {
      importLook(file);
      return;
    }
    const refused = refuseFile(file);
    if (refused) {
      status.fail("edit", ...refused);
      return;
    }
    const { state } = store.values;
    if (!state?.reference) {
      await uploadReference(file);
      return;
    }
    const target = { look: state.active, keyframe: state.focus };
    byId("drop").setAttribute("aria-busy", "true");
    status.say("edit", `Looking where “${file.name}” lies on the reference…`);
    const after = await status.attempt("edit", () => add(file, target));
    byId("drop").removeAttribute("aria-busy");
    if (!after) return;
    store.set({ state: after });
    if (handle) follow(handle, file, after);
    if (after.edit?.note) status.warn("edit", after.edit.note);
    else status.say("edit", "Edited picture taken, on top of what is there. You are wearing it.");
  };

  let waiting = {};
  const send = latest(async () => {
    const patch = waiting;
    waiting = {};
    const state = await status.attempt("settings", () => store.values.api.settings(patch));
    if (state) store.set({ state });
  });
  const change = (patch) => {
    Object.assign(waiting, patch);
    send();
  };

  byId("edit-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) upload(file);
  });
  byId("follow-file").hidden = !("showOpenFilePicker" in window);
  byId("follow-file").addEventListener("click", async () => {
    const types = [{ description: "Pictures", accept: { "image/*": [".png", ".jpg", ".jpeg", ".webp"] } }];
    let handle;
    try {
      [handle] = await window.showOpenFilePicker({ types });
    } catch (error) {
      if (error.name === "AbortError") return; // the user chose nothing
      throw error;
    }
    upload(await handle.getFile(), handle);
  });
  byId("unfollow").addEventListener("click", () => follower.stop());
  store.watch(["api"], ({ api }) => api === null && follower.stop());
  setUpDrop(upload);
  byId("wear").addEventListener("click", () => change({ enabled: !store.values.state.edit.enabled }));
  byId("remove-edit").addEventListener("click", async () => {
    const state = await status.attempt("edit", () => store.values.api.removeEdit());
    if (state) store.set({ state });
  });
  byId("unfocus").addEventListener("click", async () => {
    const state = await status.attempt("edit", () => store.values.api.focus(null));
    if (state) store.set({ state });
  });
  byId("strength").addEventListener("input", (event) => change({ strength: Number(event.target.value) / 100 }));
  byId("faces").addEventListener("input", (event) => change({ faces: Number(event.target.value) }));
  for (const input of document.querySelectorAll('input[name="mode"]')) {
    input.addEventListener("change", () => change({ mode: input.value }));
  }

  store.watch(["state"], ({ state }) => {
    const edit = state?.edit ?? null;
    const wear = byId("wear");
    wear.disabled = edit === null;
    wear.setAttribute("aria-checked", String(Boolean(edit?.enabled)));
    byId("edit-common").hidden = edit === null;
    byId("edit-note").textContent = edit ? editNote(edit, state.reference) : "";
    const place = focusPlace(state);
    byId("edit-target").hidden = place < 0;
    byId("edit-target-name").textContent = `You are editing keyframe ${place + 1}.`;
    status.attempt("thumb-edit", () => showThumb(edit?.version ?? null));
    if (!edit) return;
    const strength = byId("strength");
    if (document.activeElement !== strength) strength.value = String(Math.round(edit.strength * 100));
    strength.dispatchEvent(new Event("shown"));
    byId("people").hidden = state.max_faces < 2;
    const faces = byId("faces");
    faces.max = String(state.max_faces);
    if (document.activeElement !== faces) faces.value = String(state.settings.faces);
    faces.dispatchEvent(new Event("shown"));
    const mode = document.querySelector(`input[name="mode"][value="${edit.mode}"]`);
    if (mode) mode.checked = true;
  });
}

/** The place in the film strip of the keyframe that is edited instead of the reference, or -1. */
function focusPlace(state) {
  const focus = state?.focus ?? null;
  return focus === null ? -1 : state.keyframes.findIndex(({ id }) => id === focus);
}

function editNote(edit, reference) {
  if (edit.note) return edit.note;
  if (edit.reference_version !== reference?.version) {
    return "This edit stays on the earlier reference. Edit the new one to replace it.";
  }
  return edit.enabled ? "You are wearing this edit." : "The edit is off: the live picture goes out.";
}
