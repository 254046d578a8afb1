/** The controls beside a picture: kind of click, undo, candidates, objects, downloads. */

import { colorOf, drawMask, makeCanvas } from "./drawing.js";

const THUMBNAIL = 160; // pixels of the longer side
const LETTERS = "ABC";

/**
 * @typedef {object} Handlers
 * @property {() => void} undo
 * @property {() => void} over
 * @property {() => void} add
 * @property {(number: number) => void} select
 * @property {(number: number) => void} remove
 * @property {(which: number) => void} choose
 * @property {() => void} mask
 * @property {() => void} cutout
 */

export class Toolbox {
  /** @type {Map<number, string>} What the visitor calls an object; no part of undo. */
  names = new Map();

  /**
   * @param {HTMLElement} root
   * @param {Handlers} handlers
   */
  constructor(root, handlers) {
    this.root = root;
    this.handlers = handlers;
    root.append(document.querySelector("#tools").content.cloneNode(true));
    this.radios = `${root.closest("section").id}-`;
    for (const radio of root.querySelectorAll(".kinds input")) radio.name = `${this.radios}kind`;
    for (const name of ["undo", "over", "add", "mask", "cutout"]) {
      this.part(name).addEventListener("click", () => handlers[name]());
    }
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  /** What a plain click means: "include", "exclude" or "box". */
  get kind() {
    return this.root.querySelector(".kinds input:checked").value;
  }

  /** Say that a box is only a click. */
  explainBoxes() {
    this.part("boxes").hidden = false;
  }

  /** Name an object for files and screen readers. */
  nameOf(number) {
    return this.names.get(number) || `Object ${number}`;
  }

  /**
   * List the objects.
   *
   * @param {number[]} numbers
   * @param {number} active
   */
  showObjects(numbers, active) {
    const list = this.part("objects");
    const isSame = list.dataset.numbers === String(numbers);
    if (!isSame) {
      list.dataset.numbers = String(numbers);
      list.replaceChildren(...numbers.map((number) => this.#row(number)));
    }
    for (const radio of list.querySelectorAll("input[type=radio]")) {
      radio.checked = Number(radio.value) === active;
    }
  }

  #row(number) {
    const row = document.createElement("li");
    const radio = input("radio", { name: `${this.radios}object`, value: String(number) });
    radio.addEventListener("change", () => this.handlers.select(number));
    const label = document.createElement("label");
    label.append(radio, `Object ${number}`);
    const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
    swatch.style.backgroundColor = `rgb(${colorOf(number).join(" ")})`;
    const name = input("text", { placeholder: "name", maxLength: 40 });
    name.value = this.names.get(number) ?? "";
    name.setAttribute("aria-label", `Name of object ${number}`);
    name.addEventListener("input", () => this.names.set(number, name.value.trim()));
    const remove = Object.assign(document.createElement("button"), { type: "button" });
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove object ${number}`);
    remove.addEventListener("click", () => this.handlers.remove(number));
    row.append(swatch, label, name, remove);
    return row;
  }

  /**
   * Show the candidates of a click.
   *
   * @param {HTMLCanvasElement} picture
   * @param {{painted: HTMLCanvasElement, iou: number}[]} candidates None or one hides them.
   * @param {number} chosen
   */
  showCandidates(picture, candidates, chosen) {
    this.part("candidates").hidden = candidates.length < 2;
    const choices = candidates.map(({ painted, iou }, which) => {
      const radio = input("radio", { name: `${this.radios}choice`, value: String(which) });
      radio.checked = which === chosen;
      radio.addEventListener("change", () => this.handlers.choose(which));
      const label = Object.assign(document.createElement("label"), { className: "choice" });
      label.append(thumbnail(picture, painted), radio, `${LETTERS[which]} · ${iou.toFixed(2)}`);
      return label;
    });
    this.part("choices").replaceChildren(...choices);
  }

  /** Say what came out, or what was done to the picture. */
  note(text) {
    this.part("note").textContent = text;
  }

  /** @param {{undo: boolean, files: boolean}} possible What can be done now. */
  enable({ undo, files }) {
    this.part("undo").disabled = !undo;
    this.part("mask").disabled = this.part("cutout").disabled = !files;
  }
}

function input(type, properties) {
  return Object.assign(document.createElement("input"), { type, ...properties });
}

function thumbnail(picture, painted) {
  const scale = THUMBNAIL / Math.max(picture.width, picture.height);
  const canvas = makeCanvas(Math.ceil(picture.width * scale), Math.ceil(picture.height * scale));
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  drawMask(context, painted, true);
  return canvas;
}
