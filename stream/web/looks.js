/** The looks of the session: one button each, beside them the live picture for as long as it is held. */

import { ThumbRow } from "./thumbs.js";

const TAP_MS = 300; // a shorter press turns the look off or on instead of showing the live picture meanwhile

const byId = (id) => document.getElementById(id);

/** A button with key, picture and name. */
function chip(look, number) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.dataset.look = String(look.id);
  const key = document.createElement("kbd");
  const image = document.createElement("img");
  image.alt = "";
  const name = document.createElement("span");
  name.textContent = look.name;
  button.append(key, image, name);
  if (number <= 9) {
    key.textContent = String(number);
    button.title = `${look.name} (key ${number})`;
    button.setAttribute("aria-keyshortcuts", String(number));
  } else {
    key.hidden = true;
  }
  return button;
}

/** Scroll the row, not the page, until a button is in sight. */
function reveal(button) {
  const row = button.parentElement;
  if (!row) return;
  const [left, right] = [button.offsetLeft - row.offsetLeft, button.offsetLeft - row.offsetLeft + button.offsetWidth];
  if (left < row.scrollLeft) row.scrollLeft = left;
  else if (right > row.scrollLeft + row.clientWidth) row.scrollLeft = right - row.clientWidth;
}

/** Rename, copy and remove the active look. */
function setUpManager({ store, status }) {
  const dialog = byId("look");
  const name = byId("look-name");
  const active = () => store.values.state.looks.find(({ id }) => id === store.values.state.active);
  const act = async (run) => {
    const state = await status.attempt("look", run);
    if (!state) return;
    store.set({ state });
    dialog.close();
  };
  byId("manage-look").addEventListener("click", () => {
    name.value = active().name;
    byId("remove-look").disabled = store.values.state.looks.length === 1;
    dialog.showModal();
    name.select();
  });
  byId("look-form").addEventListener("submit", (event) => {
    event.preventDefault();
    act(() => store.values.api.renameLook(active().id, name.value));
  });
  byId("copy-look").addEventListener("click", () => act(() => store.values.api.createLook(true)));
  byId("remove-look").addEventListener("click", () => act(() => store.values.api.removeLook(active().id)));
}

/** The button that shows the live picture while it is pressed, by pointer or key. */
function setUpHold(button, hold) {
  const keys = [" ", "Enter"];
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    hold(true);
  });
  for (const kind of ["pointerup", "pointercancel"]) button.addEventListener(kind, () => hold(false));
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
  button.addEventListener("keydown", (event) => {
    if (!keys.includes(event.key)) return;
    event.preventDefault();
    if (!event.repeat) hold(true);
  });
  button.addEventListener("keyup", (event) => {
    if (!keys.includes(event.key)) return;
    event.preventDefault();
    hold(false);
  });
  button.addEventListener("blur", () => hold(false));
}

/**
 * @param {object} page store, status, send
 * @returns {{wear: function(number): void, hold: function(boolean): void}} for hot-keys: wear the look at a place
 *   of the row; show the live picture until let go, or turn the look off or on where that is soon
 */
export function setUpLooks({ store, status, send }) {
  const row = new ThumbRow(byId("chips"), store);
  let held_at = 0; // when the hold began; 0: none

  const isFull = () => {
    const { state } = store.values;
    return Boolean(state) && state.looks.length >= state.max_looks;
  };
  const wearLook = async (id) => {
    if (send({ type: "wear", look: id })) return;
    const state = await status.attempt("look", () => store.values.api.wearLook(id));
    if (state) store.set({ state });
  };
  const toggle = async () => {
    const { api, state } = store.values;
    const after = await status.attempt("settings", () => api.settings({ enabled: !state.settings.enabled }));
    if (after) store.set({ state: after });
  };
  const hold = async (on) => {
    if (on === held_at > 0 || (on && !store.values.state?.edit)) return;
    const soon = !on && performance.now() - held_at < TAP_MS;
    held_at = on ? performance.now() : 0;
    if (soon) await toggle(); // before the live picture is let go, so that it does not flash
    if (held_at === 0 || on) send({ type: "compare", on });
  };
  const wear = (place) => {
    const look = store.values.state?.looks[place];
    if (look) wearLook(look.id);
  };

  setUpManager({ store, status });
  setUpHold(byId("hold-live"), hold);
  addEventListener("blur", () => hold(false));
  byId("new-look").addEventListener("click", async () => {
    if (isFull()) {
      status.warn("look", `A session holds at most ${store.values.state.max_looks} looks.`, "Remove one first (…).");
      return;
    }
    const state = await status.attempt("look", () => store.values.api.createLook(false));
    if (!state) return;
    store.set({ state });
    status.say("look", "A new look. Choose a preset, paint or bring a picture.");
  });

  store.watch(["state"], ({ state }) => {
    byId("looks").hidden = !state?.reference && !(state?.looks.length > 1);
    const looks = state?.looks ?? [];
    row.show(looks, {
      key: (look) => `looks/${look.id}`,
      version: (look) => look.picture,
      build: (look, index) => {
        const button = chip(look, index + 1);
        button.addEventListener("click", () => wearLook(look.id));
        return button;
      },
      signature: (look, index) => `${index} ${look.name}`,
      update: (button, look) => {
        const chosen = look.id === state.active && button.getAttribute("aria-pressed") !== "true";
        if (chosen) requestAnimationFrame(() => reveal(button));
        button.setAttribute("aria-pressed", String(look.id === state.active));
        button.dataset.edited = String(look.edited);
      },
    });
    byId("new-look").disabled = !state;
    byId("new-look").setAttribute("aria-disabled", String(isFull()));
    byId("copy-look").disabled = isFull();
    byId("copy-look").title = isFull() ? `A session holds at most ${state.max_looks} looks` : "";
    byId("hold-live").disabled = !state?.edit;
    const off = Boolean(state?.edit) && (state.comparing || !state.settings.enabled);
    byId("hold-live").setAttribute("aria-pressed", String(off));
  });
  return { wear, hold };
}
