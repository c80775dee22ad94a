/** Undo and redo of changes to a picture, bounded in memory: the oldest steps go first. */

const LIMIT_BYTES = 192 * 1024 * 1024;

export class History {
  #done = [];
  #undone = [];
  #bytes = 0;

  /** @param {number} [limit_bytes] memory that steps may hold */
  constructor(limit_bytes = LIMIT_BYTES) {
    this.limit_bytes = limit_bytes;
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Remember one step: a box, and its pixels before and after. A new step ends what could be redone. */
  add(step) {
    for (const gone of this.#undone) this.#bytes -= gone.before.length + gone.after.length;
    this.#undone = [];
    this.#done.push(step);
    this.#bytes += step.before.length + step.after.length;
    while (this.#bytes > this.limit_bytes && this.#done.length > 1) {
      const oldest = this.#done.shift();
      this.#bytes -= oldest.before.length + oldest.after.length;
    }
  }

  /** The step to take back, or null. */
  undo() {
    const step = this.#done.pop() ?? null;
    if (step) this.#undone.push(step);
    return step;
  }

  /** The step to do again, or null. */
  redo() {
    const step = this.#undone.pop() ?? null;
    if (step) this.#done.push(step);
    return step;
  }

  clear() {
    this.#done = [];
    this.#undone = [];
    this.#bytes = 0;
  }
}
