/**
 * The picture that is clicked: by mouse, finger, pen or keyboard.
 *
 * Coordinates that it hands out are pixels of the picture.
 */

import { drawBox, drawClick, drawCross, drawMask, makeCanvas } from "./drawing.js";

const [SHORTEST, LONGEST] = [960, 1280]; // longer side of what is drawn: fine lines, few pixels
const ARM = 9; // half the length of a click's mark, pixels of the screen
const DRAG = 6; // pixels of the screen from which a click is a box
const RIGHT_BUTTON = 2;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LABEL = "The picture. Arrows move the cross, Enter includes, Shift and Enter excludes.";

/**
 * @typedef {object} Layer What is drawn of an object.
 * @property {HTMLCanvasElement=} painted Its mask, from `paintMask`.
 * @property {boolean} isActive Whether clicks go to it.
 * @property {[number, number, number][]} clicks x, y, and 1 on the object or 0 outside it.
 * @property {number[]=} box x0, y0, x1, y1
 */

export class Stage {
  #root;
  #canvas = makeCanvas(1, 1);
  #placeholder = Object.assign(document.createElement("p"), { className: "placeholder" });
  #busy = Object.assign(document.createElement("span"), { className: "busy", hidden: true });
  #picture = null;
  #layers = [];
  #drag = null;
  #cross = null;

  /**
   * @param {HTMLElement} root
   * @param {object} handlers
   * @param {(xy: [number, number], positive: boolean) => void} handlers.onClick
   * @param {(box: number[]) => void} handlers.onBox
   * @param {() => void} handlers.onUndo
   * @param {() => "include" | "exclude" | "box"} handlers.kind What a plain click means.
   * @param {string} invitation Shown while there is no picture.
   */
  constructor(root, handlers, invitation) {
    this.#root = root;
    this.handlers = handlers;
    this.#canvas.tabIndex = 0;
    this.#canvas.setAttribute("role", "application");
    this.#canvas.setAttribute("aria-label", LABEL);
    this.#placeholder.textContent = invitation;
    this.#busy.setAttribute("role", "status");
    root.append(this.#placeholder, this.#canvas, this.#busy);
    this.#canvas.hidden = true;
    this.#listen();
  }

  /**
   * Show a picture, or nothing.
   *
   * @param {HTMLCanvasElement | null} picture Read whenever something is drawn.
   */
  show(picture) {
    const isOther = picture?.width !== this.#picture?.width || picture?.height !== this.#picture?.height;
    this.#picture = picture;
    this.#layers = [];
    this.#canvas.hidden = picture === null;
    this.#placeholder.hidden = picture !== null;
    this.#root.classList.toggle("full", picture !== null);
    if (picture && isOther) {
      const side = Math.max(picture.width, picture.height);
      const scale = Math.min(Math.max(side, SHORTEST), LONGEST) / side;
      this.#canvas.width = Math.max(1, Math.round(picture.width * scale));
      this.#canvas.height = Math.max(1, Math.round(picture.height * scale));
      this.#canvas.style.setProperty("--aspect", picture.width / picture.height);
      this.#cross = null;
    }
    this.draw();
  }

  /** @param {Layer[]} layers Those at the end are on top. */
  setLayers(layers) {
    this.#layers = layers;
    this.draw();
  }

  /** @param {string=} text What is being waited for; nothing if left out. */
  setBusy(text) {
    this.#busy.textContent = text ?? "";
    this.#busy.hidden = !text;
  }

  /** Draw the picture and everything over it. */
  draw() {
    if (!this.#picture) return;
    const context = this.#canvas.getContext("2d");
    const { width, height } = this.#canvas;
    context.drawImage(this.#picture, 0, 0, width, height);
    for (const { painted, isActive } of this.#layers) {
      if (painted) drawMask(context, painted, isActive);
    }
    this.#drawPrompts(context);
  }

  #drawPrompts(context) {
    const { width } = this.#canvas;
    const scale = width / this.#picture.width;
    const unit = width / (this.#canvas.clientWidth || width); // a pixel of the screen
    const boxes = [...this.#layers.map(({ box }) => box), this.#drag?.box];
    for (const box of boxes) if (box) drawBox(context, box.map((v) => v * scale), 2 * unit);
    for (const [x, y, positive] of this.#layers.flatMap(({ clicks }) => clicks)) {
      drawClick(context, [x * scale, y * scale], Boolean(positive), ARM * unit);
    }
    if (this.#cross) drawCross(context, this.#cross.map((v) => v * scale), unit);
  }

  #listen() {
    const canvas = this.#canvas;
    // a finger that draws a box must not scroll the page
    this.#root.closest("section").addEventListener("change", () => {
      canvas.classList.toggle("boxing", this.handlers.kind() === "box");
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", () => this.#endDrag());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => {
      this.#cross = null;
      this.draw();
    });
  }

  /** Turn a place on the screen into one in the picture. */
  #place(event) {
    const area = this.#canvas.getBoundingClientRect();
    const { width, height } = this.#picture;
    return [
      clamped(((event.clientX - area.left) / area.width) * width, width),
      clamped(((event.clientY - area.top) / area.height) * height, height),
    ];
  }

  #press(event) {
    if (![0, RIGHT_BUTTON].includes(event.button)) return;
    this.#cross = null;
    this.#drag = { from: this.#place(event), screen: [event.clientX, event.clientY] };
    this.#canvas.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (!this.#drag) return;
    const [x, y] = this.#drag.screen;
    if (Math.hypot(event.clientX - x, event.clientY - y) > DRAG) {
      this.#drag.box = boxOf(this.#drag.from, this.#place(event));
      this.draw();
    }
  }

  #release(event) {
    if (!this.#drag) return;
    const { from, box } = this.#drag;
    this.#endDrag();
    if (box) {
      if (box[2] - box[0] > 1 && box[3] - box[1] > 1) this.handlers.onBox(box);
    } else if (event.button === RIGHT_BUTTON || event.shiftKey) {
      this.handlers.onClick(from, false);
    } else {
      this.handlers.onClick(from, this.handlers.kind() !== "exclude");
    }
  }

  #endDrag() {
    this.#drag = null;
    this.draw();
  }

  #key(event) {
    if (!this.#picture || event.ctrlKey || event.metaKey || event.altKey) return;
    const { width, height } = this.#picture;
    this.#cross ??= [width / 2, height / 2];
    if (event.key in ARROWS) {
      const reach = Math.max(width, height) / (event.shiftKey ? 200 : 40);
      const [across, down] = ARROWS[event.key];
      const [x, y] = this.#cross;
      this.#cross = [clamped(x + across * reach, width), clamped(y + down * reach, height)];
    } else if (event.key === "Enter") {
      const positive = !event.shiftKey && this.handlers.kind() !== "exclude";
      this.handlers.onClick([...this.#cross], positive);
    } else if (event.key.toLowerCase() === "z") {
      this.handlers.onUndo();
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
  }
}

function clamped(value, length) {
  return Math.min(Math.max(value, 0), length - 1);
}

function boxOf([ax, ay], [bx, by]) {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}
