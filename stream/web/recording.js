/** The sign that a session is recorded, and the recordings: start, pause, stop, play, download, delete. */

const KIB = 1024;

/** 65.2 -> "1:05", 3700 -> "1:01:40" */
export function clock(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds % 60)];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Bytes in words. */
export function size(bytes) {
  const [value, unit] = bytes < KIB ** 3 ? [bytes / KIB ** 2, "MB"] : [bytes / KIB ** 3, "GB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** Show in `sign` whether and how long a session is recorded; hidden where it is not. */
export function showSign(sign, recording) {
  sign.hidden = !recording?.active;
  if (sign.hidden) return;
  const word = recording.paused ? "Recording paused" : "Recording";
  sign.dataset.paused = String(Boolean(recording.paused));
  const text = `${word} ${clock(recording.seconds ?? 0)} · ${size(recording.bytes ?? 0)}`;
  if (sign.textContent !== text) sign.textContent = text;
}

const STATES = {
  recording: "recording now",
  refining: "being made anew",
  unfinished: "the refined film is unfinished; livery refine completes it",
  ready: "",
};

function button(text, act, className = "") {
  const node = Object.assign(document.createElement("button"), { type: "button", textContent: text, className });
  node.addEventListener("click", act);
  return node;
}

/**
 * @param {object} page store, status
 * @returns {{list: function(): Promise<object[]>}} the recordings as the server tells them
 */
export function setUpRecording({ store, status }) {
  const byId = (id) => document.getElementById(id);
  const dialog = byId("recordings");
  const player = byId("recording-player");

  const act = async (action) => {
    const state = await status.attempt("recording", () => store.values.api.record(action));
    if (state) store.set({ state });
    if (dialog.open) await show();
  };
  const lend = (entry, file) => status.attempt("recording", () => store.values.api.lendRecording(entry.name, file.name));
  const play = async (entry, file) => {
    const url = await lend(entry, file);
    if (!url) return;
    player.hidden = false;
    player.src = url;
    await player.play().catch((error) => console.info("not played by itself: %s", error.message));
  };
  const download = async (entry, file) => {
    const url = await lend(entry, file);
    if (!url) return;
    const link = Object.assign(document.createElement("a"), { href: `${url}?download=1`, download: "" });
    link.click();
  };
  const remove = async (entry) => {
    player.hidden = true;
    player.removeAttribute("src");
    player.load();
    const state = await status.attempt("recording", () => store.values.api.deleteRecording(entry.name));
    if (!state) return;
    store.set({ state });
    status.say("recording", `The recording ${entry.name} is deleted.`);
    await show();
  };

  /** Two presses delete: the first one asks. */
  const deleting = (entry) => {
    const node = button("Delete", async () => {
      if (node.dataset.asked) await remove(entry);
      else {
        node.dataset.asked = "true";
        node.textContent = "Really delete?";
        node.setAttribute("aria-label", `Really delete? ${entry.name}`);
      }
    }, "danger");
    node.setAttribute("aria-label", `Delete ${entry.name}`);
    return node;
  };

  const row = (entry) => {
    const item = document.createElement("li");
    item.dataset.recording = entry.name;
    const title = Object.assign(document.createElement("strong"), { textContent: entry.name });
    const said = [size(entry.bytes), STATES[entry.state]].filter(Boolean).join(", ");
    const about = Object.assign(document.createElement("span"), { textContent: said, className: "note" });
    item.append(title, about);
    for (const file of entry.files) {
      const line = document.createElement("div");
      line.className = "row";
      const name = Object.assign(document.createElement("span"), { textContent: file.name, className: "grow" });
      const labelled = (text, run) => {
        const node = button(text, run);
        node.setAttribute("aria-label", `${text} ${file.name} of ${entry.name}`);
        return node;
      };
      line.append(name, labelled("Play", () => play(entry, file)), labelled("Download", () => download(entry, file)));
      item.append(line);
    }
    item.append(deleting(entry));
    return item;
  };

  const list = async () => (await status.attempt("recording", () => store.values.api.recordings())) ?? [];
  const show = async () => {
    const entries = await list();
    byId("recording-list").replaceChildren(...entries.map(row));
    byId("no-recordings").hidden = entries.length > 0;
  };

  byId("open-recordings").addEventListener("click", async () => {
    await show();
    dialog.showModal();
  });
  dialog.addEventListener("close", () => {
    player.pause();
    player.hidden = true;
  });
  byId("record-start").addEventListener("click", () => act(store.values.state?.recording?.active ? "stop" : "start"));
  byId("record-pause").addEventListener("click", () =>
    act(store.values.stats?.recording?.paused ? "resume" : "pause"),
  );

  store.watch(["state", "stats"], ({ state, stats }) => {
    const recording = stats?.recording ?? state?.recording ?? null;
    showSign(byId("recording-sign"), recording);
    byId("record-tools").hidden = recording === null;
    if (recording === null) return;
    byId("record-start").textContent = recording.active ? "Stop recording" : "Record";
    byId("record-pause").hidden = !recording.active;
    byId("record-pause").textContent = recording.paused ? "Go on recording" : "Pause";
    if (recording.error) status.fail("recorded", "Nothing is recorded any more.", `Reason: ${recording.error}.`);
    else status.clear("recorded");
  });
  return { list };
}
