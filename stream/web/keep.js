/** What the server stores of this session, ending the session, and "Forget me". */

import { aboutServer, ApiError } from "./api.js";
import { forgetAll } from "./state.js";

const byId = (id) => document.getElementById(id);
const count = (number, one, more) => `${number} ${number === 1 ? one : more}`;

/** How long something is kept, in words. */
function days(number) {
  return number >= 1 ? count(Math.round(number * 10) / 10, "day", "days") : `${Math.round(number * 24)} hours`;
}

/** What is deleted with a session, as sentences. */
function deletedWith(state) {
  const looks = count(state.looks.length, "look", "looks");
  return [
    `${looks} with all pictures, keyframes and undo steps will be deleted from the server.`,
    "The viewer link and the OBS addresses stop working.",
  ];
}

/**
 * @param {object} page store, status
 * @param {function(string): Promise<object|null>} endSession deletes the session, "keep" or "delete" for its
 *   recordings; says what remains, null where it failed
 * @param {function(): Promise<object[]>} recordings of the session
 */
export function setUpKeeping({ store, status }, endSession, recordings) {
  const dialog = byId("ending");
  let everything = false; // what this browser keeps goes too

  const ask = async (all) => {
    everything = all;
    const names = store.values.state?.recording?.count ? (await recordings()).map(({ name }) => name) : [];
    const { state } = store.values;
    byId("ending-title").textContent = all ? "Forget me" : "End this session";
    const lines = state ? deletedWith(state) : [];
    if (all && names.length) lines.push(`Its recordings are deleted too: ${names.join(", ")}.`);
    byId("ending-recordings").hidden = all || names.length === 0;
    byId("ending-recordings-text").textContent = `Also delete its recordings: ${names.join(", ")}`;
    byId("ending-delete").checked = true;
    if (all) lines.push("What this browser keeps for Livery is deleted too: view, camera, server token.");
    byId("ending-list").replaceChildren(
      ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
    );
    byId("ending-go").textContent = all ? "Forget me" : "End and delete";
    dialog.returnValue = "";
    dialog.showModal();
  };

  byId("end-session").addEventListener("click", () => {
    byId("obs").close();
    ask(false);
  });
  byId("forget-me").addEventListener("click", () => ask(true));
  byId("ending-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    dialog.close();
    const remains = await endSession(everything || byId("ending-delete").checked ? "delete" : "keep");
    if (!remains) return;
    if (!everything) {
      const left = remains.recordings.length ? `What remains: its recordings ${remains.recordings.join(", ")}.` : "Nothing remains.";
      status.warn("session", "The session has ended; its looks and pictures are deleted.", left);
      return;
    }
    forgetAll();
    status.say("session", "Nothing about you is kept on the server or in this browser any more.");
  });

  store.watch(["state"], ({ state }) => {
    const { problem, nearly_full: nearlyFull } = state?.storage ?? {};
    if (problem) status.fail("store", "Your changes will be lost at a restart.", `Reason: ${problem}.`);
    else if (nearlyFull) {
      status.warn("store", "The server’s store is nearly full.", "Sessions unused longest are deleted first.");
    } else status.clear("store");
  });
  store.watch(["api"], ({ api }) => (byId("forget").hidden = api === null));

  aboutServer().then(
    ({ storage }) => {
      byId("kept").textContent = storage
        ? `Your looks are kept there for ${days(storage.keep_days)} after their last use, or until you press “Forget me”.`
        : "Your looks are kept in memory only and are lost when it stops.";
    },
    (error) => {
      if (!(error instanceof ApiError)) throw error;
      console.info("the server did not say what it keeps: %s", error.message);
    },
  );
}
