/** The page's state: one observable object, and values that survive a reload. */

/**
 * @param {object} initial first values
 * @returns {{values: object, set: function(object): void, watch: function(string[], function(object): void): function(): void}}
 *   `watch` calls at once and then whenever one of the named keys changed.
 */
export function createStore(initial) {
  const values = { ...initial };
  const watchers = new Set();
  return {
    values,
    set(patch) {
      const changed = Object.keys(patch).filter((key) => !Object.is(values[key], patch[key]));
      Object.assign(values, patch);
      if (changed.length === 0) return;
      for (const watcher of [...watchers]) {
        if (watcher.keys.some((key) => changed.includes(key))) watcher.call(values);
      }
    },
    watch(keys, call) {
      const watcher = { keys, call };
      watchers.add(watcher);
      call(values);
      return () => watchers.delete(watcher);
    },
  };
}

const PREFIX = "livery.";

/** A value stored in this browser, or `fallback` if there is none or storage is forbidden. */
export function recall(name, fallback = null) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch (error) {
    console.warn("stored %s cannot be read: %s", name, error);
    return fallback;
  }
}

/** Store a value in this browser; null removes it. Returns false if storage is forbidden or full. */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch (error) {
    console.warn("%s cannot be stored: %s", name, error);
    return false;
  }
}

/** Remove everything that is stored in this browser. */
export function forgetAll() {
  for (const storage of [localStorage, sessionStorage]) {
    for (const key of Object.keys(storage)) if (key.startsWith(PREFIX)) storage.removeItem(key);
  }
}

/** A session handed over in the address (`/?session=ID&token=TOKEN`), taken out of the address bar. */
export function sessionFromAddress() {
  const query = new URLSearchParams(location.search);
  const hash = new URLSearchParams(location.hash.slice(1));
  const id = query.get("session") ?? hash.get("session");
  const token = query.get("token") ?? hash.get("token");
  if (!id || !token) return null;
  history.replaceState(null, "", location.pathname); // the token does not stay in sight
  return { id, token };
}

/** Calls `run` once, `wait_ms` after the last call. */
export function debounce(run, wait_ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...args), wait_ms);
  };
}

/** Run calls of `run` one after the other. Of the waiting ones only the newest is kept. */
export function latest(run) {
  let busy = false;
  let next = null;
  return async (...args) => {
    next = args;
    if (busy) return;
    busy = true;
    try {
      while (next) {
        const now = next;
        next = null;
        await run(...now);
      }
    } finally {
      busy = false;
    }
  };
}
