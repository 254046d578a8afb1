/** The page's end of the model's thread. */

export class Engine {
  #worker = new Worker(new URL("../engine/worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #last = 0;

  /** @param {(progress: {done: number, total: number}) => void} onProgress Of the download. */
  constructor(onProgress) {
    this.#worker.addEventListener("message", ({ data }) => {
      if (data.progress) onProgress(data.progress);
      else this.#settle(data);
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      const error = `The model's thread stopped: ${event.message || "it could not be loaded"}. Reload the page.`;
      for (const id of this.#waiting.keys()) this.#settle({ id, error });
    });
  }

  /**
   * Call a method of `engine/worker.js`.
   *
   * @param {string} method
   * @param {...*} args Bitmaps among them are handed over.
   * @returns {Promise<*>} Rejected with an `Error` whose message is a sentence.
   */
  call(method, ...args) {
    const id = (this.#last += 1);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const bitmaps = args.filter((value) => value instanceof ImageBitmap);
      this.#worker.postMessage({ id, method, args }, bitmaps);
    });
  }

  #settle({ id, result, error }) {
    const { resolve, reject } = this.#waiting.get(id) ?? {};
    this.#waiting.delete(id);
    if (error === undefined) resolve?.(result);
    else reject?.(new Error(error));
  }
}
