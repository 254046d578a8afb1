/**
 * Objects followed through frames that come one after the other.
 *
 * It computes what `NumpyTracker` of `numpy_runner.py` does. Only the last frame can be prompted, as
 * the ones before are not kept.
 */

import { bestOfThree, candidate } from "./graphs.js";
import { ObjectState, objectPointers, spatialMemories } from "./memory_bank.js";
import { frameValues, maskOf } from "./pixels.js";

const NO_OBJECT = -1024; // logits of an object that is out of view
const MAX_PREVIOUS_LOGIT = 32; // an earlier answer is shown to the decoder within these bounds
const FORWARD = 1;

/**
 * @typedef {object} ObjectAnswer The mask of an object on a frame.
 * @property {Float32Array} logits `(h, w)`
 * @property {Float32Array} pointer `(d)`
 * @property {number} score
 */

export class Tracker {
  /** @param {import("./graphs.js").Graphs} graphs */
  constructor(graphs) {
    this.graphs = graphs;
    this.frame = -1;
    this.size = null;
    /** @type {Map<number, ObjectState>} */
    this.objects = new Map();
    this.features = null;
    /** Objects before each change of this frame, for `undo`. */
    this.history = [];
  }

  /**
   * Go to the next frame, and track all objects into it.
   *
   * @param {ImageData} picture Of the size of the frames before.
   */
  async next(picture) {
    this.frame += 1;
    this.history = [];
    this.size = { width: picture.width, height: picture.height };
    this.features = await this.graphs.encode(frameValues(picture, this.graphs.model));
    for (const state of this.objects.values()) await this.#track(state);
  }

  /**
   * Click on an object of this frame, or beside it; clicks add up.
   *
   * @param {number} objectId
   * @param {[number, number]} xy
   * @param {boolean} positive
   */
  async click(objectId, xy, positive) {
    const state = this.#changing(objectId);
    state.clicks.set(this.frame, [
      ...(state.clicks.get(this.frame) ?? []),
      [...xy, Number(positive)],
    ]);
    await this.#answer(state);
  }

  /**
   * Draw a box around an object; it joins the clicks on this frame.
   *
   * @param {number} objectId
   * @param {number[]} box x0, y0, x1, y1
   */
  async box(objectId, box) {
    const state = this.#changing(objectId);
    state.boxes.set(this.frame, box);
    await this.#answer(state);
  }

  /** Forget an object; the others stay as they are. */
  remove(objectId) {
    this.history.push(new Map(this.objects));
    this.objects.delete(objectId);
  }

  /** Take back the last click, box or removal on this frame. */
  undo() {
    this.objects = this.history.pop() ?? this.objects;
  }

  /**
   * Draw the masks of this frame.
   *
   * @returns {Map<number, Uint8Array>} `(height, width)` by object, 0 and 1
   */
  masks() {
    const low = this.graphs.model.image_size / 4;
    const found = new Map();
    for (const [objectId, state] of this.objects) {
      const logits = state.answers.get(this.frame) ?? state.shown.get(this.frame);
      if (logits) found.set(objectId, maskOf(logits, [low, low], this.size));
    }
    return found;
  }

  /**
   * List the prompts of this frame.
   *
   * @returns {Map<number, {clicks: [number, number, number][], box: number[]=}>} By object.
   */
  prompts() {
    const found = new Map();
    for (const [objectId, state] of this.objects) {
      const clicks = state.clicks.get(this.frame) ?? [];
      found.set(objectId, { clicks, box: state.boxes.get(this.frame) });
    }
    return found;
  }

  #changing(objectId) {
    this.history.push(new Map(this.objects));
    const state = this.objects.get(objectId)?.copy() ?? new ObjectState();
    this.objects.set(objectId, state);
    return state;
  }

  /** Answer the prompts of this frame, and remember it as a prompted one. */
  async #answer(state) {
    const { frame, features } = this;
    state.prompted.delete(frame); // what is remembered of a frame is not looked at from there
    // a correction looks at memories as tracking did
    const step = state.prompted.size ? (state.steps.get(frame) ?? 0) : 0;
    const previous = state.answers.get(frame) ?? state.shown.get(frame);
    const bounded = previous?.map((logit) =>
      Math.min(Math.max(logit, -MAX_PREVIOUS_LOGIT), MAX_PREVIOUS_LOGIT),
    );
    const clicks = state.clicks.get(frame) ?? [];
    const points = this.graphs.points(this.size, clicks, state.boxes.get(frame));
    const embedding = await this.#condition(state, step);
    const maps = [features[0], features[1], embedding];
    const answer = await this.#decode(maps, points, previous && bounded, step !== 0);
    state.answers.set(frame, answer.logits);
    state.prompted.set(frame, await this.#remember(answer, true));
    state.shown.delete(frame);
    state.tracked.delete(frame);
  }

  /** Track an object on a frame without prompts. */
  async #track(state) {
    if (!state.prompted.size) return;
    const { frame, features } = this;
    const embedding = await this.#condition(state, FORWARD);
    const points = this.graphs.points(this.size, []);
    const maps = [features[0], features[1], embedding];
    const answer = await this.#decode(maps, points, undefined, true);
    state.tracked.set(frame, await this.#remember(answer, false));
    state.shown.set(frame, answer.logits);
    state.steps.set(frame, FORWARD);
    state.forget(frame, this.graphs.config);
  }

  /** Fuse memories into this frame; `step` 0 means that nothing is looked at. */
  async #condition(state, step) {
    const { graphs, frame } = this;
    const embedding = this.features[2];
    if (step === 0) return (await graphs.run("no_memory", { embedding }))[0];
    const { spatial, ages } = spatialMemories(state, frame, step, graphs.config);
    const { pointers, times } = objectPointers(state, frame, step, graphs.config);
    const [, width, rows, columns] = embedding.dims;
    const channels = spatial[0].length / (rows * columns);
    const [conditioned] = await graphs.run("memory_attention", {
      embedding,
      spatial: graphs.floats(joined(spatial), [1, spatial.length, channels, rows, columns]),
      ages: graphs.integers(ages, [1, ages.length]),
      pointers: graphs.floats(joined(pointers), [1, pointers.length, width]),
      times: graphs.floats(times, [1, times.length]),
    });
    return conditioned;
  }

  /**
   * Decode an object's mask; `looked` says that memories were looked at.
   *
   * @returns {Promise<ObjectAnswer>}
   */
  async #decode(maps, points, previous, looked) {
    const { graphs } = this;
    const { config } = graphs;
    const decoded = await graphs.decode(maps, points, previous);
    const { count } = points;
    const few = config.multimask_min_pt_num <= count && count <= config.multimask_max_pt_num;
    const allowed = config.multimask_output_for_tracking || !looked;
    const several = few && allowed && config.multimask_output_in_sam;
    const best = several ? bestOfThree(decoded.iou) : graphs.singleChoice(decoded);
    const logits = candidate(decoded.logits, best);
    if (decoded.score <= 0) logits.fill(NO_OBJECT);
    const token = candidate(decoded.tokens, several ? best : 0);
    const [pointer] = await graphs.run("object_pointer", {
      token: graphs.floats(token, [1, token.length]),
      score: graphs.floats([decoded.score], [1, 1]),
    });
    return { logits, pointer: pointer.data, score: decoded.score };
  }

  /**
   * Encode what this frame is remembered by.
   *
   * @returns {Promise<import("./memory_bank.js").Memory>}
   */
  async #remember({ logits, pointer, score }, binarize) {
    const low = this.graphs.model.image_size / 4;
    const [spatial] = await this.graphs.run("memory_encoder", {
      embedding: this.features[2],
      logits: this.graphs.floats(logits, [1, 1, low, low]),
      score: this.graphs.floats([score], [1, 1]),
      binarize: this.graphs.flags([binarize], []),
    });
    return { spatial: spatial.data, pointer };
  }
}

function joined(parts) {
  const values = new Float32Array(parts.reduce((total, part) => total + part.length, 0));
  let place = 0;
  for (const part of parts) {
    values.set(part, place);
    place += part.length;
  }
  return values;
}
