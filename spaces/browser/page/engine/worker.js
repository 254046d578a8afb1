/**
 * The model's thread. The page sends `{id, method, args}`, and gets `{id, result}` or `{id, error}`;
 * calls are answered one after the other.
 */

import { Photo } from "./photo.js";
import { ReadableError, start } from "./runtime.js";
import { Tracker } from "./tracker.js";

const OUT_OF_MEMORY = /out of memory|bad_alloc|allocation failed|failed to allocate/i;

let graphs;
let photo;
let tracker;

const methods = {
  /** Get ready; see `start`. Returns the runtime, and what the page has to know of the model. */
  async start(options) {
    const onProgress = (progress) => self.postMessage({ progress });
    const started = await start({ ...options, onProgress });
    graphs = started.graphs;
    const { name, knows_boxes: knowsBoxes, graphs: files } = graphs.model;
    const bytes = files.reduce((total, file) => total + file.bytes, 0);
    return { runtime: started.runtime, model: { name, knowsBoxes, bytes } };
  },

  /** Encode a photo, an `ImageBitmap`. */
  async openPhoto(bitmap) {
    photo = undefined; // before the next one needs the room
    photo = await Photo.encode(graphs, pixelsOf(bitmap));
  },

  /** Prompt the photo; see `Photo.masks`. */
  promptPhoto(prompt) {
    return photo.masks(prompt);
  },

  /** Begin with a clip or the webcam. */
  openClip() {
    tracker = new Tracker(graphs);
  },

  /** Track all objects into the next frame, an `ImageBitmap`. */
  async nextFrame(bitmap) {
    await tracker.next(pixelsOf(bitmap));
    return frameState();
  },

  /** Click on, or beside, an object of this frame. */
  async clickFrame(objectId, xy, positive) {
    await tracker.click(objectId, xy, positive);
    return frameState();
  },

  /** Draw a box around an object of this frame. */
  async boxFrame(objectId, box) {
    await tracker.box(objectId, box);
    return frameState();
  },

  /** Forget an object of the clip. */
  removeObject(objectId) {
    tracker.remove(objectId);
    return frameState();
  },

  /** Take back the last change on this frame. */
  undoFrame() {
    tracker.undo();
    return frameState();
  },
};

function frameState() {
  return {
    frame: tracker.frame,
    masks: tracker.masks(),
    prompts: tracker.prompts(),
    undoable: tracker.history.length > 0,
  };
}

/** Read a bitmap's pixels, and let it go. */
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

function sentence(error) {
  if (error instanceof ReadableError) return error.message;
  const text = String(error?.message ?? error);
  if (error instanceof RangeError || OUT_OF_MEMORY.test(text)) {
    return "The browser ran out of memory. Close other tabs, or take a smaller picture, and reload the page.";
  }
  return `The model stopped: ${text.slice(0, 200)}. Reload the page.`;
}

let turn = Promise.resolve();
self.addEventListener("message", ({ data: { id, method, args } }) => {
  turn = turn.then(async () => {
    try {
      self.postMessage({ id, result: await methods[method](...args) });
    } catch (error) {
      console.info(error?.stack ?? error);
      self.postMessage({ id, error: sentence(error) });
    }
  });
});
