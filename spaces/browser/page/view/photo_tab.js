/** The tab of photos: click objects, choose among candidates, download. */

import { colorOf, cutout, downloadPicture, makeCanvas, maskPicture, paintMask } from "./drawing.js";
import { EMPTY_SCENE, activeObject, withActive, withNewObject, withoutObject } from "./photo_scene.js";
import { Stage } from "./stage.js";
import { Toolbox } from "./toolbox.js";

const LARGEST_SIDE = 2048; // pixels; a larger photo is reduced
const SAMPLES = { coffee: "A cup of coffee", cat: "A cat", rocket: "A rocket" };
const INVITATION = "Choose a photo, then click an object in it.";

export class PhotoTab {
  #picture = null;
  #name = "photo";
  #scene = EMPTY_SCENE;
  #history = [];
  #turn = Promise.resolve();

  /**
   * @param {HTMLElement} root
   * @param {import("./engine.js").Engine} engine
   * @param {Promise<object>} ready What the engine said when it had started.
   * @param {(text: string) => void} say Shows an error.
   */
  constructor(root, engine, ready, say) {
    Object.assign(this, { root, engine, ready, say });
    this.tools = new Toolbox(root.querySelector('[data-part="tools"]'), {
      undo: () => this.#undo(),
      over: () => this.#restart(),
      add: () => this.#change(withNewObject(this.#scene)),
      select: (active) => this.#change({ ...this.#scene, active }),
      remove: (number) => this.#change(withoutObject(this.#scene, number)),
      choose: (which) => this.#choose(which),
      mask: () => this.#download("mask"),
      cutout: () => this.#download("cutout"),
    });
    const handlers = {
      onClick: (xy, positive) => this.#prompt({ clicks: [[...xy, Number(positive)]] }),
      onBox: (box) => this.#box(box),
      onUndo: () => this.#undo(),
      kind: () => this.tools.kind,
    };
    this.stage = new Stage(root.querySelector('[data-part="stage"]'), handlers, INVITATION);
    this.#listen();
  }

  #listen() {
    const file = this.root.querySelector('[data-part="file"]');
    file.addEventListener("change", () => {
      const [chosen] = file.files;
      if (chosen) this.open(chosen, chosen.name);
      file.value = "";
    });
    const frame = this.root.querySelector('[data-part="stage"]');
    this.root.addEventListener("dragover", (event) => {
      event.preventDefault();
      frame.classList.add("over");
    });
    this.root.addEventListener("dragleave", () => frame.classList.remove("over"));
    this.root.addEventListener("drop", (event) => {
      event.preventDefault();
      frame.classList.remove("over");
      const [dropped] = event.dataTransfer.files;
      if (dropped) this.open(dropped, dropped.name);
    });
    document.addEventListener("paste", (event) => {
      const [pasted] = event.clipboardData?.files ?? [];
      if (pasted && !this.root.hidden) this.open(pasted, pasted.name);
    });
    this.#showSamples();
  }

  #showSamples() {
    const list = this.root.querySelector('[data-part="samples"]');
    for (const [name, text] of Object.entries(SAMPLES)) {
      const source = `samples/${name}.jpg`;
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.append(Object.assign(new Image(), { src: source, alt: text }));
      button.addEventListener("click", async () => {
        const answer = await fetch(source);
        this.open(await answer.blob(), `${name}.jpg`);
      });
      list.append(button);
    }
  }

  /**
   * Open a photo.
   *
   * @param {Blob} file
   * @param {string} name Of the file, for messages and downloads.
   */
  open(file, name) {
    this.#turn = this.#turn.then(() => this.#guarded(() => this.#read(file, name)));
    return this.#turn;
  }

  async #read(file, name) {
    const bitmap = await createImageBitmap(file).catch(() => {
      throw new Error(
        `${name} is not a picture that this browser can read. PNG, JPEG and WebP work everywhere.`,
      );
    });
    const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const size = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
    const picture = makeCanvas(...size);
    const context = picture.getContext("2d");
    context.fillStyle = "white"; // below what is transparent
    context.fillRect(0, 0, ...size);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, ...size);
    const note = scale < 1 ? `The photo was reduced from ${bitmap.width} x ${bitmap.height} pixels.` : "";
    bitmap.close();
    this.#picture = null; // the model forgets it now, whether or not it can take the next one
    this.stage.show(picture);
    this.stage.setBusy("Waiting for the model");
    await this.ready;
    this.stage.setBusy("Looking at the photo");
    await this.engine.call("openPhoto", await createImageBitmap(picture));
    this.#picture = picture;
    this.#name = name.replace(/\.[^.]*$/, "");
    this.#restart();
    this.tools.root.hidden = false;
    this.tools.note(note || "Click an object in the photo.");
  }

  #restart() {
    this.#scene = EMPTY_SCENE;
    this.#history = [];
    this.tools.names.clear();
    this.tools.part("objects").dataset.numbers = "";
    this.#show();
  }

  #undo() {
    if (!this.#history.length) return;
    this.#scene = this.#history.pop();
    this.#show();
  }

  #change(scene) {
    this.#history.push(this.#scene);
    this.#scene = scene;
    this.#show();
  }

  #choose(chosen) {
    const { answer } = activeObject(this.#scene);
    this.#change(withActive(this.#scene, { answer: { ...answer, chosen } }));
  }

  async #box(box) {
    const { model } = await this.ready;
    const middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    await this.#prompt(model.knowsBoxes ? { box } : { clicks: [[...middle, 1]] });
  }

  /** Add clicks or a box to the active object, and ask for its mask. */
  #prompt({ clicks = [], box }) {
    this.#turn = this.#turn.then(() =>
      this.#guarded(async () => {
        if (!this.#picture) return;
        const scene = this.#scene;
        const object = activeObject(scene);
        const prompt = { clicks: [...object.clicks, ...clicks], box: box ?? object.box };
        const multimask = prompt.clicks.length === 1 && !prompt.box;
        const { masks, iou } = await this.engine.call("promptPhoto", { ...prompt, multimask });
        const color = colorOf(object.number);
        const painted = masks.map((mask) => paintMask(mask, this.#picture, color));
        const answer = { masks, painted, iou, chosen: 0 };
        this.#history.push(scene);
        this.#scene = withActive(scene, { ...prompt, answer });
        this.#show();
      }),
    );
  }

  #show() {
    const { objects, active } = this.#scene;
    const layers = objects.map(({ number, clicks, box, answer }) => ({
      clicks,
      box,
      painted: answer?.painted[answer.chosen],
      isActive: number === active,
    }));
    this.stage.setLayers(layers.sort((a, b) => a.isActive - b.isActive));
    const { answer } = activeObject(this.#scene);
    const candidates = (answer?.painted ?? []).map((painted, k) => ({ painted, iou: answer.iou[k] }));
    this.tools.showObjects(objects.map(({ number }) => number), active);
    this.tools.showCandidates(this.#picture, candidates, answer?.chosen);
    this.tools.enable({ undo: this.#history.length > 0, files: Boolean(answer) });
    if (answer) this.tools.note(this.#summary(answer));
  }

  #summary({ masks, iou, chosen }) {
    const mask = masks[chosen];
    const share = mask.reduce((total, pixel) => total + pixel, 0) / mask.length;
    const name = this.tools.nameOf(this.#scene.active);
    return `${name}: ${(100 * share).toFixed(1)} % of the photo, predicted IoU ${iou[chosen].toFixed(2)}.`;
  }

  #download(kind) {
    const { answer, number } = activeObject(this.#scene);
    const mask = answer.masks[answer.chosen];
    const picture = kind === "mask" ? maskPicture(mask, this.#picture) : cutout(this.#picture, mask);
    return downloadPicture(picture, `${this.#name}_${this.tools.nameOf(number)}_${kind}`);
  }

  async #guarded(work) {
    try {
      await work();
    } catch (error) {
      this.say(error.message);
      this.stage.show(this.#picture);
      this.tools.root.hidden = !this.#picture;
      if (this.#picture) this.#show();
    } finally {
      this.stage.setBusy();
    }
  }
}
