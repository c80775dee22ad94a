/** Edit by words, if the server has a model: input, progress and a cancel button. */

import { sentence } from "./api.js";

const UNDER_WAY = ["loading", "editing", "placing"];
const byId = (id) => document.getElementById(id);

function step({ state, done, total }) {
  if (state === "editing") return `Step ${done} of ${total}`;
  return state === "placing" ? "Putting it on" : "Loading";
}

function showProgress(prompt) {
  const bar = byId("words-bar");
  if (prompt.state === "loading") {
    bar.removeAttribute("value"); // nobody knows how long that takes
  } else {
    bar.max = prompt.total;
    bar.value = prompt.done;
  }
  byId("words-step").textContent = step(prompt);
  byId("words-cancel").disabled = prompt.state === "placing";
}

/** Show the input or the progress, and move the focus with it. */
function swap(busy) {
  const [from, to] = busy ? ["words-start", "words-progress"] : ["words-progress", "words-start"];
  if (byId(from).hidden) return;
  const held = byId(from).contains(document.activeElement);
  byId(from).hidden = true;
  byId(to).hidden = false;
  if (held) byId(busy ? "words-cancel" : "words-go").focus();
}

function note({ reference }, prompt) {
  if (prompt.state === "failed") return sentence(prompt.error);
  if (!reference) return "Take a reference first; then say what to change on it.";
  return "A model on the server edits the reference, which takes a while. You wear the result when it is done.";
}

/** @param {object} page store, status */
export function setUpWords({ store, status }) {
  let before = null; // state of the newest edit as last told

  byId("words-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { api, state } = store.values;
    if (!state?.reference || UNDER_WAY.includes(state.prompt?.state)) return;
    const area = document.querySelector('input[name="area"]:checked').value;
    const choice = { prompt: byId("words").value, area, look: state.active, keyframe: state.focus };
    const after = await status.attempt("words", () => api.editByWords(choice));
    if (after) store.set({ state: after });
  });
  byId("words-cancel").addEventListener("click", async () => {
    const state = await status.attempt("words", () => store.values.api.cancelWords());
    if (state) store.set({ state });
  });

  const tell = ({ state, error }) => {
    if (state === "done") status.say("words-end", "Edited by words. You are wearing it.");
    else if (state === "stopped") status.say("words-end", "The edit by words was stopped.");
    else if (state === "failed") status.fail("words-end", sentence(error));
  };

  store.watch(["state"], ({ state, tab }) => {
    const prompt = state?.prompt ?? null;
    byId("tab-words").hidden = prompt === null;
    if (prompt === null) {
      before = null;
      if (tab === "words") store.set({ tab: "presets" });
      return;
    }
    const busy = UNDER_WAY.includes(prompt.state);
    if (busy && before === null) store.set({ tab: "words" }); // it went on while the page was reloaded
    if (busy && !UNDER_WAY.includes(before)) status.clear("words-end");
    else if (!busy && UNDER_WAY.includes(before)) tell(prompt);
    before = prompt.state;
    if (busy) showProgress(prompt);
    swap(busy);
    byId("words-go").disabled = !state.reference;
    byId("words-note").textContent = note(state, prompt);
    byId("words-note").dataset.level = prompt.state === "failed" ? "error" : "";
  });
}
