/** Follows a file on this computer: whenever a program saves it again, it is taken again. */

const LOOK_MS = 700; // between two looks at the file

export class FileFollower {
  #timer = 0;
  #turn = 0; // names the file that is followed now

  /** @param {function(string|null): void} onChange the name of the file that is followed, or null */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /**
   * Follow a file until `stop`, or until it can be read no more.
   * @param {FileSystemFileHandle} handle
   * @param {File} file as it was taken first
   * @param {function(File): Promise<boolean>} take is given each saved version in turn; false ends it
   */
  follow(handle, file, take) {
    this.stop();
    const turn = this.#turn;
    let seen = file.lastModified;
    const look = async () => {
      let now;
      try {
        now = await handle.getFile();
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
        console.info("the file is followed no more: %s", error.message);
      }
      if (turn !== this.#turn) return;
      const saved = now && now.size > 0 && now.lastModified !== seen; // empty: it is being written
      if (saved) seen = now.lastModified;
      if (!now || (saved && !(await take(now)))) {
        if (turn === this.#turn) this.stop();
        return;
      }
      if (turn === this.#turn) this.#timer = setTimeout(look, LOOK_MS);
    };
    this.#timer = setTimeout(look, LOOK_MS);
    this.onChange(file.name);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#turn += 1;
    this.onChange(null);
  }
}
