/** The tab of clips and the webcam: click objects of a frame, then follow them. */

import { colorOf, cutout, downloadPicture, makeCanvas, maskPicture, paintMask } from "./drawing.js";
import { CameraFrames, ClipFrames } from "./frames.js";
import { Stage } from "./stage.js";
import { Toolbox } from "./toolbox.js";

const FRAMES_OF_SPEED = 8; // that the shown speed is the mean of
const SAMPLE = "samples/cup-and-cat.mp4";
const INVITATION = "Choose a clip or start the webcam, click an object, then track it.";
const NOTHING = { frame: -1, masks: new Map(), prompts: new Map(), undoable: false };

export class ClipTab {
  #source = null;
  #view = null; // canvas of the frame that is shown
  #state = NOTHING; // what the engine says of that frame
  #active = 1;
  #numbers = [1];
  #next = 2; // number of the next new object; a removed one's is not used again
  #loop = null; // promise of the tracking that runs
  #isRunning = false;
  #previewing = null; // mark of the preview that runs
  #turn = Promise.resolve();

  /**
   * @param {HTMLElement} root
   * @param {import("./engine.js").Engine} engine
   * @param {Promise<object>} ready What the engine said when it had started.
   * @param {(text: string) => void} say Shows an error.
   */
  constructor(root, engine, ready, say) {
    Object.assign(this, { root, engine, ready, say });
    this.tools = new Toolbox(this.#part("tools"), {
      undo: () => this.#ask(() => this.engine.call("undoFrame")),
      over: () => this.#enqueue(() => this.#restart()),
      add: () => this.#add(),
      select: (number) => this.#select(number),
      remove: (number) => this.#remove(number),
      choose: () => {},
      mask: () => this.#download("mask"),
      cutout: () => this.#download("cutout"),
    });
    const handlers = {
      onClick: (xy, positive) => this.#click(xy, positive),
      onBox: (box) => this.#box(box),
      onUndo: () => this.tools.handlers.undo(),
      kind: () => this.tools.kind,
    };
    this.stage = new Stage(this.#part("stage"), handlers, INVITATION);
    this.#listen();
  }

  #part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  #listen() {
    const file = this.#part("file");
    file.addEventListener("change", () => {
      const [chosen] = file.files;
      if (chosen) this.open(() => ClipFrames.open(chosen, chosen.name));
      file.value = "";
    });
    this.root.addEventListener("dragover", (event) => event.preventDefault());
    this.root.addEventListener("drop", (event) => {
      event.preventDefault();
      const [dropped] = event.dataTransfer.files;
      if (dropped) this.open(() => ClipFrames.open(dropped, dropped.name));
    });
    this.#part("sample").addEventListener("click", () =>
      this.open(async () => ClipFrames.open(await (await fetch(SAMPLE)).blob(), "The sample")),
    );
    this.#part("camera").addEventListener("click", () => this.open(() => CameraFrames.open()));
    this.#part("track").addEventListener("click", () => (this.#isRunning ? this.pause() : this.#track()));
    this.#part("stop").addEventListener("click", () => this.#enqueue(() => this.#close()));
    this.#part("seek").addEventListener("input", () => this.#enqueue(() => this.#seek()));
  }

  /**
   * Open a clip or the webcam.
   *
   * @param {() => Promise<ClipFrames | CameraFrames>} opener
   */
  open(opener) {
    return this.#enqueue(async () => {
      this.stage.setBusy("Opening");
      const source = await opener();
      await this.#close();
      this.#source = source;
      try {
        await this.#begin();
      } catch (error) {
        await this.#close(); // a webcam would stay on
        throw error;
      }
    });
  }

  async #begin() {
    this.#view = makeCanvas(this.#source.width, this.#source.height);
    this.stage.setBusy("Waiting for the model");
    await this.ready;
    this.#part("transport").hidden = this.tools.root.hidden = false;
    this.#part("seek").max = this.#source.duration ?? 0;
    await this.#restart();
  }

  /** Stop tracking after the frame that is being worked on. */
  async pause() {
    this.#isRunning = false;
    await this.#loop;
  }

  /** Forget all objects; a clip goes back to where it began. */
  async #restart() {
    await this.pause();
    await this.engine.call("openClip");
    this.#state = NOTHING;
    [this.#numbers, this.#active, this.#next] = [[1], 1, 2];
    this.tools.names.clear();
    this.tools.part("objects").dataset.numbers = "";
    if (this.#source.isLive) this.#preview();
    else await this.#seek();
    this.#show();
    this.#part("speed").textContent = "";
    this.tools.note("Click an object, then track it.");
  }

  async #seek() {
    if (!this.#source || this.#state.frame >= 0) return;
    await this.#source.seek(Number(this.#part("seek").value));
    this.#source.draw(this.#view);
    this.stage.show(this.#view);
  }

  async #close() {
    await this.pause();
    this.#previewing = null;
    this.#source?.close();
    this.#source = null;
    this.#state = NOTHING;
    this.#part("seek").value = 0;
    this.#part("transport").hidden = this.tools.root.hidden = true;
    this.stage.show(null);
  }

  /** Show the webcam until somewhere is clicked. */
  async #preview() {
    const mark = (this.#previewing = {});
    const source = this.#source;
    source.draw(this.#view);
    this.stage.show(this.#view);
    while (await source.next()) {
      if (this.#previewing !== mark) return;
      source.draw(this.#view);
      this.stage.draw();
    }
  }

  #click(xy, positive) {
    this.#ask(() => this.engine.call("clickFrame", this.#active, xy, positive));
  }

  #box(box) {
    const middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    this.#ask(async () => {
      const { model } = await this.ready;
      if (!model.knowsBoxes) return this.engine.call("clickFrame", this.#active, middle, true);
      return this.engine.call("boxFrame", this.#active, box);
    });
  }

  /** Pause, hand the frame to the model if it has not seen it, and show what it answers. */
  #ask(question) {
    return this.#enqueue(async () => {
      if (!this.#source) return;
      await this.pause();
      this.#previewing = null;
      this.stage.setBusy("Looking at the frame");
      if (this.#state.frame < 0) await this.#step();
      this.#state = await question();
      this.#numbers = [...new Set([...this.#numbers, ...this.#state.prompts.keys()])];
      this.#show();
    });
  }

  async #step() {
    this.#state = await this.engine.call("nextFrame", await createImageBitmap(this.#view));
  }

  /** Track until the end, a pause or a click. */
  #track() {
    return this.#enqueue(async () => {
      if (this.#isRunning || !this.#state.prompts.size) return;
      this.#isRunning = true;
      this.#loop = this.#follow().catch((error) => this.say(error.message));
    });
  }

  async #follow() {
    const times = [performance.now()];
    this.#showRunning();
    try {
      while (this.#isRunning) {
        if (!(await this.#source.next(Number(this.#part("rate").value)))) {
          this.tools.note("The end. Click to correct the last frame, or start over.");
          break;
        }
        this.#source.draw(this.#view);
        await this.#step();
        times.push(performance.now());
        if (times.length > FRAMES_OF_SPEED) times.shift();
        this.#show();
        this.#showSpeed(times);
      }
    } finally {
      this.#isRunning = false;
      this.#showRunning();
    }
  }

  #showSpeed(times) {
    const speed = (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
    this.#part("speed").textContent =
      `Frame ${this.#state.frame} · ${speed.toFixed(1)} frames per second`;
  }

  #showRunning() {
    this.#part("track").textContent = this.#isRunning ? "Pause" : "Track";
  }

  #add() {
    const unused = this.#numbers.find((number) => !this.#state.prompts.has(number));
    this.#active = unused ?? this.#next++;
    this.#numbers = [...new Set([...this.#numbers, this.#active])];
    this.#show();
  }

  #select(number) {
    this.#active = number;
    this.#show();
  }

  #remove(number) {
    this.#numbers = this.#numbers.filter((other) => other !== number);
    if (!this.#numbers.length) this.#numbers = [this.#next++];
    if (!this.#numbers.includes(this.#active)) this.#active = this.#numbers.at(-1);
    if (this.#state.prompts.has(number)) this.#ask(() => this.engine.call("removeObject", number));
    else this.#show();
  }

  #show() {
    const { masks, prompts, undoable, frame } = this.#state;
    const numbers = [...prompts.keys()].sort((a, b) => (a === this.#active) - (b === this.#active));
    const layers = numbers.map((number) => ({
      ...prompts.get(number),
      painted: masks.has(number) && paintMask(masks.get(number), this.#view, colorOf(number)),
      isActive: number === this.#active,
    }));
    this.stage.setLayers(layers);
    this.tools.showObjects(this.#numbers, this.#active);
    this.tools.enable({ undo: undoable && !this.#isRunning, files: masks.has(this.#active) });
    this.#part("track").disabled = !prompts.size;
    this.#part("seeker").hidden = this.#source?.isLive || frame >= 0;
    if (masks.size) this.tools.note(this.#summary());
  }

  #summary() {
    const gone = [...this.#state.masks].filter(([, mask]) => !mask.includes(1));
    if (!gone.length) return this.#isRunning ? "" : "Track, or click to correct.";
    return `Out of view: ${gone.map(([number]) => this.tools.nameOf(number)).join(", ")}.`;
  }

  #download(kind) {
    const mask = this.#state.masks.get(this.#active);
    const picture = kind === "mask" ? maskPicture(mask, this.#view) : cutout(this.#view, mask);
    const name = this.tools.nameOf(this.#active);
    return downloadPicture(picture, `frame-${this.#state.frame}_${name}_${kind}`);
  }

  /** Do one thing after the other, and show what went wrong. */
  #enqueue(work) {
    this.#turn = this.#turn.then(async () => {
      try {
        await work();
      } catch (error) {
        this.say(error.message);
      } finally {
        this.stage.setBusy();
      }
    });
    return this.#turn;
  }
}
