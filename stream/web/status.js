/** Notices: short ones, and errors that stay until they are resolved. One live region, read aloud. */

import { ApiError } from "./api.js";

const SHOWN_MS = 4000;

function build(key, level, text, hint, onDismiss) {
  const node = document.createElement("div");
  node.className = "notice";
  node.dataset.level = level;
  node.dataset.key = key;
  for (const [words, className] of [[text, "said"], [hint, "hint"]]) {
    if (!words) continue;
    const line = document.createElement("p");
    line.className = className;
    line.textContent = words;
    node.append(line);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.className = "quiet icon";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  close.addEventListener("click", onDismiss);
  node.append(close);
  return node;
}

/**
 * @param {HTMLElement} root role="status"
 * @returns {{say: function, warn: function, fail: function, clear: function, clearAll: function, attempt: function}}
 *   `say`, `warn` and `fail` replace an older notice of the same key; the same words are shown once.
 */
export function createStatus(root) {
  const shown = new Map();

  const clear = (key) => {
    const entry = shown.get(key);
    if (!entry) return;
    clearTimeout(entry.timer);
    entry.node.remove();
    shown.delete(key);
  };

  const show = (key, level, text, hint) => {
    if (shown.get(key)?.text === text + hint) return;
    clear(key);
    if ([...shown.values()].some((other) => other.text === text + hint)) return;
    const node = build(key, level, text, hint, () => clear(key));
    root.append(node);
    const timer = level === "error" ? 0 : setTimeout(() => clear(key), SHOWN_MS);
    shown.set(key, { node, timer, text: text + hint });
  };

  const fail = (key, error, hint = "") => {
    if (typeof error === "string") show(key, "error", error, hint);
    else show(key, "error", error.message, error.hint ?? hint);
  };

  /** Runs `act`; a failure at the server becomes a notice and the result null. Bugs go on to the console. */
  const attempt = async (key, act) => {
    try {
      const result = await act();
      clear(key);
      return result;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      fail(key, error);
      return null;
    }
  };

  return {
    say: (key, text) => show(key, "info", text, ""),
    warn: (key, text, hint = "") => show(key, "warn", text, hint),
    fail,
    clear,
    clearAll: () => [...shown.keys()].forEach(clear),
    attempt,
  };
}
