/** The page: starts the model's thread, and the tabs. */

import { ClipTab } from "./clip_tab.js";
import { Engine } from "./engine.js";
import { PhotoTab } from "./photo_tab.js";

const MEBIBYTE = 2 ** 20;
const TRIED = "isolation tried"; // key of this tab's memory: reload once, not forever

const byId = (id) => document.getElementById(id);

/** Show an error until it is closed. */
function say(text) {
  byId("message").querySelector("p").textContent = text;
  byId("message").hidden = false;
}

/**
 * Let a service worker add the headers that threads need, where the server sends none.
 *
 * @returns {Promise<boolean>} Whether the page is being reloaded for it.
 */
async function isolate() {
  const isPossible = window.isSecureContext && navigator.serviceWorker && window === window.top;
  if (window.crossOriginIsolated || !isPossible) return false;
  try {
    if (sessionStorage.getItem(TRIED)) return false;
    sessionStorage.setItem(TRIED, "yes");
    await navigator.serviceWorker.register("isolation.js");
    await navigator.serviceWorker.ready;
  } catch {
    return false; // one thread works as well
  }
  window.location.reload();
  return true;
}

function showProgress({ done, total }) {
  byId("download").value = done / total;
  const [got, all] = [done, total].map((bytes) => (bytes / MEBIBYTE).toFixed(1));
  byId("engine-state").textContent =
    done < total ? `Downloading the model: ${got} of ${all} MiB` : "Preparing the model";
}

function showReady({ runtime, model }) {
  byId("download").hidden = true;
  const threads = `${runtime.threads} thread${runtime.threads === 1 ? "" : "s"}`;
  const place = runtime.name === "webgpu" ? "WebGPU" : `WebAssembly, ${threads}`;
  byId("engine-state").textContent = `Ready: ${model.name} on ${place}`;
  byId("model-name").textContent = model.name;
}

function startTabs() {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
    chosen.focus();
  };
  tabs.forEach((tab, k) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (step) choose(tabs.at((k + step) % tabs.length));
    });
  });
}

async function main() {
  startTabs();
  byId("message").querySelector("button").addEventListener("click", () => (byId("message").hidden = true));
  if (await isolate()) return;
  byId("engine-state").textContent = "Downloading the model";
  const engine = new Engine(showProgress);
  const wanted = new URLSearchParams(window.location.search).get("runtime") ?? undefined;
  const ready = engine.call("start", { wanted });
  const photo = new PhotoTab(byId("photo"), engine, ready, say);
  const clip = new ClipTab(byId("clip"), engine, ready, say);
  try {
    const started = await ready;
    showReady(started);
    if (!started.model.knowsBoxes) for (const { tools } of [photo, clip]) tools.explainBoxes();
  } catch (error) {
    byId("download").hidden = true;
    byId("engine-state").textContent = "The model could not be started.";
    say(error.message);
  }
}

main();
