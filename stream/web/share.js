/** Links for others: the viewer's, and what OBS needs in and out. */

import { ticketsOf } from "./api.js";

/** Copy text; returns false where the browser forbids it (a page without https). */
export async function copyText(text) {
  if (!navigator.clipboard) return false;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch (error) {
    if (error instanceof DOMException) return false;
    throw error;
  }
}

const absolute = (path) => new URL(path, location.href).href;

/** The viewer's address for OBS: nothing but the picture. */
export function browserSource(viewer) {
  const url = new URL(viewer, location.href);
  url.searchParams.set("controls", "0");
  url.searchParams.set("transparent", "1");
  return url.href;
}

/**
 * @param {object} page store, status, ensure
 * @param {function(object): void} take keeps new addresses and tokens of the session
 */
export function setUpSharing({ store, status, ensure }, take) {
  const byId = (id) => document.getElementById(id);
  const dialog = byId("obs");

  const fill = ({ session }) => {
    byId("obs-browser").value = browserSource(session.viewer);
    byId("obs-viewer").value = absolute(session.viewer);
    byId("obs-whip").value = absolute(session.whip);
    byId("obs-token").value = session.publish_token;
    const [, place, name] = new URL(session.viewer, location.href).pathname.split("/");
    byId("room-name").value = place === "watch" ? decodeURIComponent(name) : "";
  };

  /** New addresses: shown, kept, and said. */
  const renewed = async (act, said) => {
    const { api } = store.values;
    const answer = await status.attempt("share", () => act(api));
    if (!answer) return;
    take(ticketsOf(answer));
    fill(api);
    status.say("share", said);
  };
  byId("room-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const room = byId("room-name").value.trim() || null;
    renewed((api) => api.nameRoom(room), room ? `The session is watched in the room ${room}.` : "The room’s name is free again.");
  });
  byId("renew-view").addEventListener("click", () =>
    renewed((api) => api.renewToken("view"), "Old viewer links no longer work; viewers were disconnected."),
  );
  byId("renew-publish").addEventListener("click", () =>
    renewed((api) => api.renewToken("publish"), "The old token no longer works; enter the new one in OBS."),
  );

  const open = (api) => {
    fill(api);
    if (!dialog.open) dialog.showModal();
  };

  byId("open-obs").addEventListener("click", async () => {
    const api = await ensure();
    if (api) open(api);
  });

  byId("copy-viewer").addEventListener("click", async () => {
    const api = await ensure();
    if (!api) return;
    if (await copyText(absolute(api.session.viewer))) {
      status.say("copy", "Viewer link copied. Whoever has it can watch, not control.");
    } else {
      open(api);
      byId("obs-viewer").select();
      status.warn("copy", "The browser does not allow copying here.", "The link is selected: copy it by hand.");
    }
  });

  byId("open-phone").addEventListener("click", async () => {
    const api = await ensure();
    const told = api && (await status.attempt("phone", () => api.phone()));
    if (!told) return;
    byId("phone-code").src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(told.qr)}`;
    byId("phone-url").value = told.url;
    byId("phone").showModal();
  });

  for (const button of document.querySelectorAll("dialog [data-copy]")) {
    button.addEventListener("click", async () => {
      const field = byId(button.dataset.copy);
      const copied = await copyText(field.value);
      if (!copied) field.select();
      button.textContent = copied ? "Copied" : "Press Ctrl+C";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }

  byId("reveal").addEventListener("click", (event) => {
    const shown = byId("obs-token").type === "text";
    byId("obs-token").type = shown ? "password" : "text";
    event.currentTarget.setAttribute("aria-pressed", String(!shown));
    event.currentTarget.textContent = shown ? "Show" : "Hide";
  });

  for (const button of document.querySelectorAll("dialog [data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  store.watch(["server"], ({ server }) => {
    for (const id of ["open-obs", "open-phone", "copy-viewer"]) byId(id).disabled = server !== "up";
  });
}
