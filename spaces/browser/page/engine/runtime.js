/**
 * ONNX Runtime and the model's graphs, downloaded and ready: WebGPU where the browser has it and the
 * model runs there, WebAssembly everywhere else.
 */

import { Graphs } from "./graphs.js";

const ROOT = new URL("../", import.meta.url);
const MOST_THREADS = 4; // the graphs are small; more threads wait for each other
const PATIENCE = 30; // seconds that WebGPU gets for its first picture
const MEBIBYTE = 2 ** 20;

/** An error whose message is a sentence for the visitor. */
export class ReadableError extends Error {}

/**
 * @typedef {object} Runtime What the page says of it.
 * @property {string} name "webgpu" or "wasm"
 * @property {number} threads
 */

/**
 * Download everything and make the sessions.
 *
 * @param {object} options
 * @param {string=} options.wanted "wasm" leaves WebGPU out.
 * @param {(progress: {done: number, total: number}) => void} options.onProgress Bytes.
 * @returns {Promise<{graphs: Graphs, runtime: Runtime}>}
 */
export async function start({ wanted, onProgress }) {
  requireWebAssembly();
  const model = JSON.parse(new TextDecoder().decode(await download({ name: "model/model.json" })));
  const names = ["wasm"];
  if (wanted !== "wasm" && (await hasWebGpu())) names.unshift("webgpu");
  const total = bytesOf([...model.graphs, binaryOf(model, names[0])]);
  let done = 0;
  const onBytes = (bytes) => onProgress({ done: Math.min((done += bytes), total), total });
  const files = await downloadAll(model.graphs, onBytes);
  for (const name of names) {
    const isLast = name === names.at(-1);
    try {
      return await open(name, model, files, onBytes);
    } catch (error) {
      if (isLast) throw error;
      console.info(`WebGPU cannot run the model, WebAssembly does: ${error.message}`);
    }
  }
}

async function open(name, model, files, onBytes) {
  const parts = model.runtimes[name];
  const ort = await import(new URL(parts[0].name, ROOT));
  const threads = numThreads();
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { mjs: new URL(parts[1].name, ROOT).href };
  ort.env.wasm.wasmBinary = await download(binaryOf(model, name), onBytes);
  ort.env.logLevel = "error";
  const sessions = {};
  for (const [graph, bytes] of Object.entries(files)) {
    sessions[graph] = await ort.InferenceSession.create(bytes, {
      executionProviders: [name],
      logSeverityLevel: 3,
      // a waiting thread that spins takes the core from the page, and from the other graphs
      extra: { session: { intra_op: { allow_spinning: "0" } } },
    });
  }
  const graphs = new Graphs(ort, sessions, model);
  // the first run finds out whether the graphics card can, and prepares it
  const first = graphs.encode(new Float32Array(3 * model.image_size ** 2));
  await (name === "webgpu" ? Promise.race([first, tooLong()]) : first);
  return { graphs, runtime: { name, threads } };
}

/** Refuse a browser without the instructions that the runtime is built of. */
function requireWebAssembly() {
  // (module (func (result v128) i32.const 0 i8x16.splat))
  const simd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0];
  const bytes = Uint8Array.from([...simd, 65, 0, 253, 15, 11]);
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(bytes)) {
    throw new ReadableError(
      "This browser has no WebAssembly with SIMD, which the model needs. Chrome, Edge and Firefox " +
        "from 2021 on and Safari from 16.4 on have it.",
    );
  }
}

/** Leave a core to the page; only an isolated page may share memory between threads. */
function numThreads() {
  const spare = (navigator.hardwareConcurrency || 1) - 1;
  return self.crossOriginIsolated ? Math.min(Math.max(spare, 1), MOST_THREADS) : 1;
}

/** Whether there is a graphics card; one that is imitated on the CPU is slower than WebAssembly. */
async function hasWebGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  } catch {
    return false;
  }
}

function tooLong() {
  return new Promise((_, reject) =>
    setTimeout(() => reject(new Error("the first picture takes too long")), 1000 * PATIENCE),
  );
}

/** The file that is most of a runtime; the others are scripts that the browser loads. */
function binaryOf(model, name) {
  return model.runtimes[name].find((file) => file.name.endsWith(".wasm"));
}

function bytesOf(files) {
  return files.reduce((total, file) => total + file.bytes, 0);
}

async function downloadAll(graphs, onBytes) {
  const files = {};
  for (const graph of graphs) {
    const name = graph.name.split("/").at(-1).replace(".onnx", "");
    files[name] = await download(graph, onBytes);
  }
  return files;
}

/**
 * Download a file of this page.
 *
 * @param {{name: string, bytes: number=, version: string=}} file Its place, how long it should be,
 *   and a mark that changes with it.
 * @param {(bytes: number) => void} onBytes Called with each part.
 * @returns {Promise<Uint8Array>}
 */
async function download({ name, bytes, version }, onBytes = () => {}) {
  const address = new URL(version ? `${name}?${version}` : name, ROOT);
  const parts = [];
  let length = 0;
  try {
    const answer = await fetch(address, version ? {} : { cache: "no-cache" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
      onBytes(value.length);
    }
  } catch (error) {
    throw new ReadableError(
      `${name} could not be downloaded (${error.message}). Check the connection and reload the page.`,
    );
  }
  if (bytes !== undefined && length !== bytes) {
    const [got, due] = [length, bytes].map((count) => (count / MEBIBYTE).toFixed(2));
    throw new ReadableError(
      `${name} has ${got} MiB instead of ${due}. Reload the page, or build it once more.`,
    );
  }
  const whole = new Uint8Array(length);
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}
