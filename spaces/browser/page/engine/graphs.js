/**
 * The graphs of an exported model, and the two steps that photos and clips share: laying prompts
 * out, and decoding them.
 */

export const NOT_A_POINT = -1;
const TOP_LEFT = 2;
const BOTTOM_RIGHT = 3;

/**
 * @typedef {object} Decoded All candidates of one object.
 * @property {Float32Array} logits `(4, h, w)`, the single mask first, then the three
 * @property {[number, number]} grid Rows and columns of the logits.
 * @property {Float32Array} iou `(4)`
 * @property {Float32Array} tokens `(4, d)`
 * @property {number} score Logit of the object being in view.
 */

export class Graphs {
  /**
   * @param {object} ort The module of onnxruntime-web.
   * @param {Record<string, object>} sessions An `InferenceSession` for each graph.
   * @param {object} model `model.json`: config, image_size, pixels.
   */
  constructor(ort, sessions, model) {
    this.ort = ort;
    this.sessions = sessions;
    this.model = model;
    this.config = model.config;
  }

  /**
   * Run a graph.
   *
   * @param {string} name
   * @param {Record<string, object>} inputs Tensors by name.
   * @returns {Promise<object[]>} Tensors in the graph's order.
   */
  async run(name, inputs) {
    const session = this.sessions[name];
    const found = await session.run(inputs);
    return session.outputNames.map((output) => found[output]);
  }

  floats(values, dims) {
    const data = values instanceof Float32Array ? values : Float32Array.from(values);
    return new this.ort.Tensor("float32", data, dims);
  }

  integers(values, dims) {
    return new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
  }

  flags(values, dims) {
    return new this.ort.Tensor("bool", Uint8Array.from(values, Number), dims);
  }

  /**
   * Encode a picture.
   *
   * @param {Float32Array} values `(1, 3, S, S)`
   * @returns {Promise<object[]>} Fine and coarse maps, and the embedding.
   */
  encode(values) {
    const side = this.model.image_size;
    return this.run("image_encoder", { pixel_values: this.floats(values, [1, 3, side, side]) });
  }

  /**
   * Lay corners of a box and clicks out.
   *
   * @param {{width: number, height: number}} size Of the picture.
   * @param {[number, number, number][]} clicks x, y, and 1 on the object or 0 outside it.
   * @param {number[]=} box x0, y0, x1, y1
   * @returns {{xy: object, labels: object, count: number}} Tensors `(1, t, 2)` in model pixels and
   *   `(1, t)`; how many of them are points.
   */
  points({ width, height }, clicks, box) {
    const corners = box ? [[...box.slice(0, 2), TOP_LEFT], [...box.slice(2), BOTTOM_RIGHT]] : [];
    const given = [...corners, ...clicks];
    const rows = given.length ? given : [[0, 0, NOT_A_POINT]];
    const side = this.model.image_size;
    const xy = rows.flatMap(([x, y]) => [
      Math.fround(Math.fround(x) / width) * side,
      Math.fround(Math.fround(y) / height) * side,
    ]);
    return {
      xy: this.floats(xy, [1, rows.length, 2]),
      labels: this.integers(rows.map((row) => row[2]), [1, rows.length]),
      count: given.length,
    };
  }

  /**
   * Decode all candidates of one object.
   *
   * @param {object[]} maps Fine, coarse, and the embedding of the object.
   * @param {{xy: object, labels: object}} points From `points`.
   * @param {Float32Array=} previous Earlier logits, at a quarter of the input size.
   * @returns {Promise<Decoded>}
   */
  async decode([fine, coarse, conditioned], points, previous) {
    const low = this.model.image_size / 4;
    const mask = this.floats(previous ?? new Float32Array(low * low), [1, 1, low, low]);
    const [logits, iou, tokens, score] = await this.run("mask_decoder", {
      fine,
      coarse,
      conditioned,
      points: points.xy,
      labels: points.labels,
      mask,
      has_mask: this.flags([previous !== undefined], [1]),
    });
    const grid = logits.dims.slice(2);
    return { logits: logits.data, grid, iou: iou.data, tokens: tokens.data, score: score.data[0] };
  }

  /**
   * Choose the single mask, or the best of three where it is unstable.
   *
   * @param {Decoded} decoded
   * @returns {number} Place among the candidates.
   */
  singleChoice({ logits, grid, iou }) {
    const config = this.config.mask_decoder_config;
    if (!config.dynamic_multimask_via_stability) return 0;
    const delta = config.dynamic_multimask_stability_delta;
    let inner = 0;
    let outer = 0;
    for (const logit of logits.subarray(0, grid[0] * grid[1])) {
      inner += logit > delta;
      outer += logit > -delta;
    }
    const stability = outer > 0 ? inner / outer : 1;
    return stability >= config.dynamic_multimask_stability_thresh ? 0 : bestOfThree(iou);
  }
}

/**
 * Return the place of the candidate with the highest predicted IoU, the single mask left out.
 *
 * @param {Float32Array} iou `(4)`
 */
export function bestOfThree(iou) {
  let best = 1;
  for (let k = 2; k < iou.length; k++) if (iou[k] > iou[best]) best = k;
  return best;
}

/**
 * Take one candidate's part of an array.
 *
 * @param {Float32Array} values `(4, ...)`
 * @param {number} place
 * @returns {Float32Array} A copy.
 */
export function candidate(values, place) {
  const length = values.length / 4;
  return values.slice(place * length, (place + 1) * length);
}
