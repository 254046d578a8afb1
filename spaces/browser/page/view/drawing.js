/**
 * Masks, outlines and prompts over a picture, and the files made of them.
 *
 * A mask is `(height, width)` bytes, 0 and 1. Colors are those of Okabe and Ito, which stay apart for
 * color-blind eyes, in the order of the package's own overlays.
 */

const OKABE_ITO = [
  [86, 180, 233],
  [230, 159, 0],
  [0, 158, 115],
  [204, 121, 167],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
];
const POSITIVE = "rgb(0 150 80)";
const NEGATIVE = "rgb(214 30 50)";
const BOX = "rgb(255 196 0)";
const FILL = 0.45; // opacity of a mask; the photo stays readable below
const HALO = 0.85; // opacity of the white rim around an outline, visible on any photo
const DIRECTIONS = 12; // that a mask is moved in, to find its outline

/**
 * Return the color of an object.
 *
 * @param {number} number From 1; colors repeat after the seventh.
 * @returns {[number, number, number]} Red, green, blue.
 */
export function colorOf(number) {
  return OKABE_ITO[(number - 1) % OKABE_ITO.length];
}

/** Make a canvas that is not on the page. */
export function makeCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/**
 * Paint a mask in one color on nothing.
 *
 * @param {Uint8Array} mask
 * @param {{width: number, height: number}} size
 * @param {[number, number, number]} color
 * @returns {HTMLCanvasElement}
 */
export function paintMask(mask, { width, height }, [red, green, blue]) {
  const canvas = makeCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  const [word] = new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer);
  for (let k = 0; k < mask.length; k++) if (mask[k]) words[k] = word;
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * Draw a mask with its outline over a picture.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {HTMLCanvasElement} painted From `paintMask`; drawn over the whole canvas.
 * @param {boolean} isActive Whether its outline is the thicker one.
 */
export function drawMask(context, painted, isActive) {
  const { width, height } = context.canvas;
  const stroke = Math.min(Math.max(0.003 * Math.max(width, height), 1.6), 5) * (isActive ? 1 : 0.7);
  context.save();
  context.globalAlpha = HALO;
  context.drawImage(outline(painted, width, height, 1.6 * stroke, "white"), 0, 0);
  context.globalAlpha = FILL;
  context.drawImage(painted, 0, 0, width, height);
  context.globalAlpha = 1;
  context.drawImage(outline(painted, width, height, stroke), 0, 0);
  context.restore();
}

/** Draw the rim of a mask, outside of it: the mask moved a little in all directions, less itself. */
function outline(painted, width, height, reach, color) {
  const canvas = makeCanvas(width, height);
  const context = canvas.getContext("2d");
  for (let k = 0; k < DIRECTIONS; k++) {
    const angle = (2 * Math.PI * k) / DIRECTIONS;
    const [x, y] = [reach * Math.cos(angle), reach * Math.sin(angle)];
    context.drawImage(painted, x, y, width, height);
  }
  context.globalCompositeOperation = "destination-out";
  context.drawImage(painted, 0, 0, width, height);
  if (color) {
    context.globalCompositeOperation = "source-in";
    context.fillStyle = color;
    context.fillRect(0, 0, width, height);
  }
  return canvas;
}

/**
 * Draw a plus for a click on the object, a minus for one outside it.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} xy Pixels of the canvas.
 * @param {boolean} positive
 * @param {number} arm Half the length of a bar.
 */
export function drawClick(context, [x, y], positive, arm) {
  const half = 0.28 * arm;
  for (const [grow, color] of [[0.2 * arm, "white"], [0, positive ? POSITIVE : NEGATIVE]]) {
    const [long, short] = [arm + grow, half + grow];
    context.fillStyle = color;
    context.beginPath();
    context.roundRect(x - long, y - short, 2 * long, 2 * short, short / 2);
    if (positive) context.roundRect(x - short, y - long, 2 * short, 2 * long, short / 2);
    context.fill();
  }
}

/**
 * Draw a box.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number[]} box x0, y0, x1, y1, pixels of the canvas.
 * @param {number} line Width of its line.
 */
export function drawBox(context, [left, top, right, bottom], line) {
  for (const [width, color] of [[2 * line, "white"], [line, BOX]]) {
    context.lineWidth = width;
    context.strokeStyle = color;
    context.strokeRect(left, top, right - left, bottom - top);
  }
}

/**
 * Draw the cross that the keyboard moves.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} xy Pixels of the canvas.
 * @param {number} unit A pixel of the screen.
 */
export function drawCross(context, [x, y], unit) {
  const arm = 12 * unit;
  for (const [width, color] of [[5, "white"], [2, "black"]]) {
    context.lineWidth = width * unit;
    context.strokeStyle = color;
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.stroke();
  }
}

/**
 * Draw a mask as a picture: white on black.
 *
 * @param {Uint8Array} mask
 * @param {{width: number, height: number}} size
 */
export function maskPicture(mask, size) {
  const canvas = makeCanvas(size.width, size.height);
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, size.width, size.height);
  context.drawImage(paintMask(mask, size, [255, 255, 255]), 0, 0);
  return canvas;
}

/**
 * Cut an object out: the picture where the mask is, nothing elsewhere, no wider than the object.
 *
 * @param {HTMLCanvasElement} picture
 * @param {Uint8Array} mask Of the picture's size.
 */
export function cutout(picture, mask) {
  const [left, top, right, bottom] = boundsOf(mask, picture.width);
  const canvas = makeCanvas(right - left, bottom - top);
  const context = canvas.getContext("2d");
  context.drawImage(paintMask(mask, picture, [0, 0, 0]), -left, -top);
  context.globalCompositeOperation = "source-in";
  context.drawImage(picture, -left, -top);
  return canvas;
}

function boundsOf(mask, width) {
  let [left, top, right, bottom] = [width, mask.length / width, 0, 0];
  for (let k = 0; k < mask.length; k++) {
    if (!mask[k]) continue;
    const x = k % width;
    const y = (k - x) / width;
    left = Math.min(left, x);
    right = Math.max(right, x + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  return right > left ? [left, top, right, bottom] : [0, 0, 1, 1];
}

/**
 * Hand a picture to the visitor as a file.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {string} name Without the ending.
 */
export async function downloadPicture(canvas, name) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/[^\p{L}\p{N}_.-]+/gu, "-")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // once it has been saved
}
