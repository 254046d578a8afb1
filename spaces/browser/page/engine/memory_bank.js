/**
 * What is remembered of an object, and what of it a frame looks at.
 *
 * The choice is that of `numpy_runner.py`, order included: equal memories in another order would
 * round differently.
 */

/**
 * @typedef {object} Memory What is remembered of an object on a frame.
 * @property {Float32Array} spatial `(64, h, w)`
 * @property {Float32Array} pointer `(d)`
 */

/** Prompts, memories and the last answers of an object; every map is by frame. */
export class ObjectState {
  constructor() {
    /** @type {Map<number, [number, number, number][]>} x, y, and 1 on the object or 0 outside it */
    this.clicks = new Map();
    /** @type {Map<number, number[]>} x0, y0, x1, y1 */
    this.boxes = new Map();
    /** @type {Map<number, Memory>} frames with a prompt of their own */
    this.prompted = new Map();
    /** @type {Map<number, Memory>} frames without */
    this.tracked = new Map();
    /** @type {Map<number, Float32Array>} logits on prompted frames */
    this.answers = new Map();
    /** @type {Map<number, Float32Array>} logits on tracked frames */
    this.shown = new Map();
    /** @type {Map<number, number>} which way a frame was tracked, 1 or -1 */
    this.steps = new Map();
  }

  /** Copy the maps; what they hold is never changed in place. */
  copy() {
    const copied = new ObjectState();
    for (const [name, map] of Object.entries(this)) copied[name] = new Map(map);
    return copied;
  }

  /**
   * Forget tracked frames that no later frame can look at.
   *
   * @param {number} frame The last one tracked.
   * @param {object} config The model's.
   */
  forget(frame, config) {
    const reach = Math.max(config.max_object_pointers_in_encoder, config.num_maskmem);
    for (const kept of [this.tracked, this.shown, this.steps]) {
      for (const other of [...kept.keys()]) {
        if (Math.abs(other - frame) > reach) kept.delete(other);
      }
    }
  }
}

/**
 * Choose the prompted frames that are looked at: the nearest ones, on both sides.
 *
 * @param {number[]} frames Prompted frames, in the order of their prompts.
 * @param {number} frame The frame that looks.
 * @param {number} limit How many; -1 for all.
 * @returns {number[]}
 */
export function chosenFrames(frames, frame, limit) {
  if (limit === -1 || frames.length <= limit) return frames;
  const before = frames.filter((other) => other < frame);
  const after = frames.filter((other) => other >= frame);
  const chosen = [];
  if (before.length) chosen.push(Math.max(...before));
  if (after.length) chosen.push(Math.min(...after));
  const others = frames.filter((other) => !chosen.includes(other));
  others.sort((a, b) => Math.abs(a - frame) - Math.abs(b - frame));
  return [...chosen, ...others.slice(0, Math.max(limit - chosen.length, 0))];
}

/**
 * List the prompted frames' memories, then the tracked ones', farthest first.
 *
 * @param {ObjectState} state
 * @param {number} frame The frame that looks.
 * @param {number} step 1, or -1 where time runs backwards.
 * @param {object} config The model's.
 * @returns {{spatial: Float32Array[], ages: number[]}}
 */
export function spatialMemories(state, frame, step, config) {
  const count = config.num_maskmem;
  const chosen = chosenFrames([...state.prompted.keys()], frame, config.max_cond_frame_num);
  const spatial = chosen.map((other) => state.prompted.get(other).spatial);
  const ages = chosen.map(() => count);
  for (let age = count - 1; age > 0; age--) {
    const memory = memoryAt(state, frame - step * age, chosen);
    if (memory) {
      spatial.push(memory.spatial);
      ages.push(age);
    }
  }
  return { spatial, ages };
}

/**
 * List the prompted frames' pointers, then the tracked ones', nearest first.
 *
 * @param {ObjectState} state
 * @param {number} frame The frame that looks.
 * @param {number} step 1, or -1 where time runs backwards.
 * @param {object} config The model's.
 * @returns {{pointers: Float32Array[], times: number[]}} Times are shares of the longest one.
 */
export function objectPointers(state, frame, step, config) {
  const count = config.max_object_pointers_in_encoder;
  const chosen = chosenFrames([...state.prompted.keys()], frame, config.max_cond_frame_num);
  const past = chosen.filter((other) => (frame - other) * step >= 0);
  const pointers = past.map((other) => state.prompted.get(other).pointer);
  const times = past.map((other) => (frame - other) * step);
  for (let age = 1; age < count; age++) {
    const memory = memoryAt(state, frame - step * age, chosen);
    if (memory) {
      pointers.push(memory.pointer);
      times.push(age);
    }
  }
  return { pointers, times: times.map((time) => time / Math.max(count - 1, 1)) };
}

function memoryAt(state, frame, chosen) {
  const unchosen = chosen.includes(frame) ? undefined : state.prompted.get(frame);
  return state.tracked.get(frame) ?? unchosen;
}
