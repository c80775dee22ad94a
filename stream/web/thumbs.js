/** A row of items with a thumbnail each, kept up to date with the session's state. */

import { ApiError } from "./api.js";

export class ThumbRow {
  #entries = new Map(); // key -> {node, signature, version, url}

  /**
   * @param {HTMLElement} root gets the nodes, each with an <img>
   * @param {object} store
   */
  constructor(root, store) {
    this.root = root;
    this.store = store;
  }

  /**
   * @param {object[]} items in order
   * @param {object} how
   * @param {function(object): string} how.key what the item's picture is called, see SessionApi.thumb
   * @param {function(object): (number|null)} how.version of the picture; null: none
   * @param {function(object, number): string} how.signature the node is built anew when this changes
   * @param {function(object, number): HTMLElement} how.build makes the item's node
   * @param {function(HTMLElement, object, number): void} how.update shows what changes often
   */
  show(items, { key, version, signature, build, update }) {
    const names = new Set(items.map(key));
    for (const [name, { url }] of this.#entries) {
      if (names.has(name)) continue;
      if (url) URL.revokeObjectURL(url);
      this.#entries.delete(name);
    }
    const nodes = items.map((item, index) => {
      const entry = this.#entries.get(key(item)) ?? { node: null, signature: "", version: undefined, url: "" };
      this.#entries.set(key(item), entry);
      const sign = signature(item, index);
      if (entry.signature !== sign) {
        Object.assign(entry, { node: build(item, index), signature: sign });
        show(entry);
      }
      update(entry.node, item, index);
      this.#renew(key(item), entry, version(item));
      return entry.node;
    });
    const { children } = this.root;
    if (nodes.length !== children.length || nodes.some((node, at) => node !== children[at])) {
      this.root.replaceChildren(...nodes);
    }
  }

  async #renew(name, entry, version) {
    if (entry.version === version) return;
    entry.version = version;
    let blob = null;
    try {
      if (version !== null) blob = await this.store.values.api.thumb(name);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      entry.version = undefined; // asked for again with the next state
      return;
    }
    if (this.#entries.get(name) !== entry || entry.version !== version) return;
    if (entry.url) URL.revokeObjectURL(entry.url);
    entry.url = blob ? URL.createObjectURL(blob) : "";
    show(entry);
  }
}

function show({ node, url }) {
  const image = node.querySelector("img");
  image.hidden = !url;
  if (url) image.src = url;
}
