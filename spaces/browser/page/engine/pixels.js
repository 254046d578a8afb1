/**
 * Pictures on their way into the model, and masks on their way out of it.
 *
 * Both resizings are Pillow's, to the rounding: what a canvas makes of a picture differs between
 * browsers, and would move the outlines.
 *
 * Arrays are row by row. A picture is an `ImageData`: four bytes a pixel, red, green, blue, alpha.
 */

const PRECISION = 22; // bits of the fraction in weights for bytes
const CHANNELS = 3;

/** Weigh neighbors linearly: reach 1. */
const triangle = { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

/** Weigh neighbors by a cubic with slope -0.5: reach 2. */
const cubic = {
  reach: 2,
  weight: (x) => {
    const far = Math.abs(x);
    if (far < 1) return (1.5 * far - 2.5) * far * far + 1;
    return far < 2 ? ((-0.5 * far + 2.5) * far - 4) * far + 2 : 0;
  },
};

/**
 * Choose the pixels that each pixel of a resized row is made of, antialiased.
 *
 * Source: Pillow, src/libImaging/Resample.c, precompute_coeffs.
 *
 * @param {number} before Pixels of the row.
 * @param {number} after Pixels of the resized row.
 * @param {{reach: number, weight: (x: number) => number}} filter
 * @returns {{first: number, weights: Float64Array}[]} One entry a pixel; weights sum to 1.
 */
export function resamplingWeights(before, after, filter) {
  const scale = before / after;
  const stretch = Math.max(scale, 1);
  const reach = filter.reach * stretch;
  return Array.from({ length: after }, (_, place) => {
    const center = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(center - reach + 0.5), 0);
    const end = Math.min(Math.trunc(center + reach + 0.5), before);
    const weights = Float64Array.from({ length: end - first }, (_, k) =>
      filter.weight((k + first - center + 0.5) / stretch),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * Resize a map to a square, bilinear and antialiased.
 *
 * @param {Float32Array} values `(height, width)`
 * @param {{width: number, height: number}} size
 * @param {number} side
 * @returns {Float32Array} `(side, side)`
 */
export function resizeFloats(values, { width, height }, side) {
  const across = resamplingWeights(width, side, triangle);
  const down = resamplingWeights(height, side, triangle);
  const rows = new Float32Array(height * side);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < side; x++) {
      rows[y * side + x] = weighted(values, across[x], y * width, 1);
    }
  }
  const resized = new Float32Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      resized[y * side + x] = weighted(rows, down[y], x, side);
    }
  }
  return resized;
}

function weighted(values, { first, weights }, start, stride) {
  let sum = 0;
  let place = start + first * stride;
  for (let k = 0; k < weights.length; k++, place += stride) sum += values[place] * weights[k];
  return sum;
}

/**
 * Resize a picture to a square as bytes: bicubic and antialiased, rounded after each direction.
 *
 * @param {ImageData} picture
 * @param {number} side
 * @returns {Uint8ClampedArray} `(side, side, 4)`, alpha unset
 */
export function resizeBytes({ data, width, height }, side) {
  const across = wholeWeights(resamplingWeights(width, side, cubic));
  const down = wholeWeights(resamplingWeights(height, side, cubic));
  const rows = new Uint8ClampedArray(height * side * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < side; x++) {
      mixBytes(data, across[x], 4 * y * width, 4, rows, 4 * (y * side + x));
    }
  }
  const resized = new Uint8ClampedArray(side * side * 4);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      mixBytes(rows, down[y], 4 * x, 4 * side, resized, 4 * (y * side + x));
    }
  }
  return resized;
}

function wholeWeights(places) {
  const one = 1 << PRECISION;
  return places.map(({ first, weights }) => ({
    first,
    weights: Int32Array.from(weights, (w) => Math.trunc(w * one + (w < 0 ? -0.5 : 0.5))),
  }));
}

function mixBytes(from, { first, weights }, start, stride, to, target) {
  for (let channel = 0; channel < CHANNELS; channel++) {
    let sum = 1 << (PRECISION - 1);
    let place = start + first * stride + channel;
    for (let k = 0; k < weights.length; k++, place += stride) sum += from[place] * weights[k];
    to[target + channel] = sum >> PRECISION;
  }
}

/**
 * Prepare a photo: each channel resized as floats, then normalized.
 *
 * @param {ImageData} picture
 * @param {{image_size: number, pixels: object}} model
 * @returns {Float32Array} `(1, 3, S, S)`
 */
export function photoValues(picture, model) {
  const { data, width, height } = picture;
  const side = model.image_size;
  const values = new Float32Array(CHANNELS * side * side);
  const channel = new Float32Array(width * height);
  for (let c = 0; c < CHANNELS; c++) {
    for (let k = 0; k < channel.length; k++) channel[k] = data[4 * k + c];
    values.set(resizeFloats(channel, picture, side), c * side * side);
  }
  return normalized(values, model);
}

/**
 * Prepare a frame: resized as bytes, then normalized.
 *
 * @param {ImageData} picture
 * @param {{image_size: number, pixels: object}} model
 * @returns {Float32Array} `(1, 3, S, S)`
 */
export function frameValues(picture, model) {
  const bytes = resizeBytes(picture, model.image_size);
  const area = model.image_size ** 2;
  const values = new Float32Array(CHANNELS * area);
  for (let c = 0; c < CHANNELS; c++) {
    for (let k = 0; k < area; k++) values[c * area + k] = bytes[4 * k + c];
  }
  return normalized(values, model);
}

function normalized(values, { image_size, pixels }) {
  const { factor, mean, std } = pixels;
  const divisor = factor === null ? 1 : Math.fround(1 / factor);
  const area = image_size ** 2;
  return values.map((value, k) => {
    const scaled = Math.fround(value / divisor);
    if (mean === null || std === null) return scaled;
    const c = Math.trunc(k / area);
    return Math.fround(scaled - Math.fround(mean[c])) / Math.fround(std[c]);
  });
}

/**
 * Draw a mask at a picture's size: logits enlarged bilinearly, without antialiasing; 1 above 0.
 *
 * @param {Float32Array} logits `(rows, columns)`
 * @param {[number, number]} grid Rows and columns.
 * @param {{width: number, height: number}} size
 * @returns {Uint8Array} `(height, width)`, 0 and 1
 */
export function maskOf(logits, [rows, columns], { width, height }) {
  const down = neighbors(rows, height);
  const across = neighbors(columns, width);
  const mask = new Uint8Array(height * width);
  const row = new Float32Array(columns);
  for (let y = 0; y < height; y++) {
    const near = down.first[y] * columns;
    const far = down.second[y] * columns;
    const share = down.share[y];
    for (let c = 0; c < columns; c++) {
      row[c] = logits[near + c] * (1 - share) + logits[far + c] * share;
    }
    for (let x = 0; x < width; x++) {
      const part = across.share[x];
      const value = row[across.first[x]] * (1 - part) + row[across.second[x]] * part;
      mask[y * width + x] = value > 0 ? 1 : 0;
    }
  }
  return mask;
}

function neighbors(count, pixels) {
  const scale = Math.fround(count / pixels);
  const first = new Int32Array(pixels);
  const second = new Int32Array(pixels);
  const share = new Float32Array(pixels);
  for (let k = 0; k < pixels; k++) {
    const place = Math.max(Math.fround(Math.fround((k + 0.5) * scale) - 0.5), 0);
    first[k] = Math.min(Math.trunc(place), count - 1);
    second[k] = Math.min(first[k] + 1, count - 1);
    share[k] = place - first[k];
  }
  return { first, second, share };
}
