/** An encoded photo, to be prompted as often as wanted. */

import { candidate } from "./graphs.js";
import { maskOf, photoValues } from "./pixels.js";

export class Photo {
  /**
   * @param {import("./graphs.js").Graphs} graphs
   * @param {{width: number, height: number}} size
   * @param {object[]} maps Fine, coarse, and the embedding, marked as one without memory.
   */
  constructor(graphs, size, maps) {
    this.graphs = graphs;
    this.size = size;
    this.maps = maps;
  }

  /**
   * Encode a photo, the slow part.
   *
   * @param {import("./graphs.js").Graphs} graphs
   * @param {ImageData} picture
   */
  static async encode(graphs, picture) {
    const [fine, coarse, embedding] = await graphs.encode(photoValues(picture, graphs.model));
    const [marked] = await graphs.run("no_memory", { embedding });
    const size = { width: picture.width, height: picture.height };
    return new Photo(graphs, size, [fine, coarse, marked]);
  }

  /**
   * Segment one object.
   *
   * @param {object} prompt
   * @param {[number, number, number][]} prompt.clicks x, y, and 1 on the object or 0 outside it.
   * @param {number[]=} prompt.box x0, y0, x1, y1
   * @param {boolean=} prompt.multimask Three masks, best for a single click, or one.
   * @returns {Promise<{masks: Uint8Array[], iou: number[]}>} Masks of the photo's size, best first.
   */
  async masks({ clicks, box, multimask = true }) {
    const points = this.graphs.points(this.size, clicks, box);
    const decoded = await this.graphs.decode(this.maps, points);
    const { logits, grid, iou } = decoded;
    const order = multimask
      ? [1, 2, 3].sort((a, b) => iou[b] - iou[a])
      : [this.graphs.singleChoice(decoded)];
    return {
      masks: order.map((place) => maskOf(candidate(logits, place), grid, this.size)),
      iou: order.map((place) => iou[place]),
    };
  }
}
