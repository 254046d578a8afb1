// What the page adds to Gradio's components: drags and right-clicks on a picture, clicks by keyboard, the
// preview under the cursor, frame steps by key, one-step downloads, and names for screen readers.
// Without this file every control still works; a plain click is Gradio's own.
(() => {
  const DRAG = 6; // pixels of the screen from which a press is a drag
  const REST = 80; // milliseconds that the cursor rests before a preview is asked for
  const PATIENCE = 4000; // milliseconds after which an unanswered preview is given up
  const SNAP = 7; // pixels around a mark of the timeline that count as the mark
  const STRIDE = 10; // frames of a step with Shift
  const CROSS_STEP = 1 / 40; // of the longer side of the picture; with Shift one pixel of it

  // A `gr.HTML` of ours pushes { element, trigger, watch } when it is loaded; that may be before or
  // after this script. `trigger` fires an event that Python listens to, with the values we choose.
  const channels = {};
  const waiting = (window.sam2Channels ??= []);
  const join = (channel) => {
    const id = channel.element.closest("[id^=photo-], [id^=video-], [id^=live-], [id^=review-]")?.id;
    if (!id) return;
    channels[id] = channel;
    channel.watch("value", () => answered(id, channel.element));
  };
  waiting.push = (channel) => join(channel);
  waiting.forEach(join);

  const send = (id, index, value) => channels[id]?.trigger("select", { index, value });
  const tabOf = (view) => view.id.split("-")[0];

  // Pictures

  const shownAt = (target) => {
    const frame = target instanceof Element ? target.closest(".canvas .image-frame") : null;
    const image = frame?.querySelector("img:not(.sam2-preview)");
    return image ? { image, frame, view: frame.closest(".canvas") } : null;
  };

  const viewOf = (target) => {
    const found = shownAt(target);
    return found?.image.naturalWidth ? found : null; // 0 while it loads
  };

  // Where the picture is shown: Gradio centers it and never enlarges it.
  const placeOf = (image) => {
    const box = image.getBoundingClientRect();
    const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight, 1);
    const width = scale * image.naturalWidth, height = scale * image.naturalHeight;
    const left = box.left + (box.width - width) / 2, top = box.top + (box.height - height) / 2;
    return { left, top, width, height, scale };
  };

  const pixelAt = (image, x, y) => {
    const place = placeOf(image);
    const inside = (value, size) => Math.min(Math.max(value / place.scale, 0), size - 1);
    return [inside(x - place.left, image.naturalWidth), inside(y - place.top, image.naturalHeight)];
  };

  const isInside = (image, x, y) => {
    const place = placeOf(image);
    return x >= place.left && y >= place.top && x < place.left + place.width && y < place.top + place.height;
  };

  // An element over the picture that takes no clicks.
  const overlay = (frame, kind, tag = "div") => {
    let over = frame.querySelector(`:scope > .${kind}`);
    if (!over) {
      over = document.createElement(tag);
      over.className = kind;
      over.setAttribute("aria-hidden", "true");
      if (tag === "img") over.alt = "";
      frame.append(over);
    }
    return over;
  };

  const put = (over, frame, left, top, width, height) => {
    const origin = frame.getBoundingClientRect();
    Object.assign(over.style, {
      display: "block", left: `${left - origin.left}px`, top: `${top - origin.top}px`,
      width: `${width}px`, height: `${height}px`,
    });
  };

  // A drag makes a box. Fingers scroll the page instead; for them there is "Box corner".
  let press = null;
  let wasDrag = false;

  document.addEventListener("pointerdown", (event) => {
    wasDrag = false;
    pressing = true;
    const found = viewOf(event.target);
    hidePreview();
    if (!found || event.button !== 0 || event.shiftKey || event.pointerType === "touch") return;
    if (!channels[`${tabOf(found.view)}-gestures`]?.element.querySelector("[data-boxes]")) return;
    press = { ...found, x: event.clientX, y: event.clientY, moved: false };
  }, true);

  document.addEventListener("pointermove", (event) => {
    if (!press) return;
    const width = Math.abs(event.clientX - press.x), height = Math.abs(event.clientY - press.y);
    press.moved ||= width > DRAG || height > DRAG;
    if (!press.moved) return;
    const left = Math.min(event.clientX, press.x), top = Math.min(event.clientY, press.y);
    put(overlay(press.frame, "sam2-box"), press.frame, left, top, width, height);
  }, true);

  const release = () => {
    press?.frame.querySelector(":scope > .sam2-box")?.remove();
    press = null;
  };

  document.addEventListener("pointerup", (event) => {
    pressing = false;
    if (!press) return;
    const { image, view, moved, x, y } = press;
    release();
    if (!moved) return;
    wasDrag = true; // the browser sends a click next, which is none
    const corners = [...pixelAt(image, x, y), ...pixelAt(image, event.clientX, event.clientY)];
    send(`${tabOf(view)}-gestures`, corners, "box");
  }, true);

  document.addEventListener("pointercancel", () => {
    pressing = false;
    release();
  }, true);
  document.addEventListener("dragstart", (event) => viewOf(event.target) && event.preventDefault(), true);

  // A click on a picture that is still loading waits for it, since it has no size to tell the pixel by.
  // In the webcam's view, the next picture may arrive before the last one has been loaded.
  const postpone = (event) => {
    const found = shownAt(event.target);
    if (!found || found.image.naturalWidth) return false;
    event.preventDefault();
    event.stopImmediatePropagation();
    const again = new MouseEvent(event.type, event);
    found.image.addEventListener("load", () => found.image.dispatchEvent(again), { once: true });
    return true;
  };

  const exclude = (event, found) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!isInside(found.image, event.clientX, event.clientY)) return;
    const xy = pixelAt(found.image, event.clientX, event.clientY);
    send(`${tabOf(found.view)}-gestures`, xy, "exclude");
  };

  document.addEventListener("click", (event) => {
    if (cross && event.detail === 0 && cross.button.contains(event.target)) {
      return event.stopImmediatePropagation(); // a key's click has no place in the picture
    }
    if (postpone(event)) return;
    const found = viewOf(event.target);
    if (!found) return;
    if (wasDrag) event.stopImmediatePropagation();
    else if (event.shiftKey) exclude(event, found);
    wasDrag = false;
  }, true);

  document.addEventListener("contextmenu", (event) => {
    if (postpone(event)) return;
    const found = viewOf(event.target);
    if (found && channels[`${tabOf(found.view)}-gestures`]) exclude(event, found);
  }, true);

  // Clicks by keyboard: a picture that is reached by Tab has a crosshair, which arrow keys move.

  const PICTURE = ".canvas button:has(.image-frame)";
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const KEYS = "Arrow keys move the crosshair, Shift for small steps. Enter includes, Shift+Enter excludes.";
  let pressing = false; // while a pointer is down; the focus it moves is not the keyboard's
  let cross = null; // { button, xy } in pixels of the picture, while the crosshair is shown

  const drawCross = () => {
    const frame = cross?.button.querySelector(".image-frame");
    const found = frame && viewOf(frame);
    if (!found) return;
    const place = placeOf(found.image);
    const [x, y] = cross.xy.map((value) => value * place.scale);
    put(overlay(frame, "sam2-cross"), frame, place.left + x, place.top + y, 0, 0);
    overlay(frame, "sam2-keys").textContent = KEYS;
  };

  document.addEventListener("focusin", (event) => {
    const button = event.target instanceof Element && event.target.closest(PICTURE);
    const found = button && !pressing && viewOf(button.querySelector(".image-frame"));
    if (!found) return;
    cross = { button, xy: [found.image.naturalWidth / 2, found.image.naturalHeight / 2] };
    drawCross();
  });

  document.addEventListener("focusout", () => {
    cross = null;
    document.querySelectorAll(".sam2-cross, .sam2-keys").forEach((over) => over.remove());
  });

  const moveCross = (step, isSmall) => {
    const { image } = viewOf(cross.button.querySelector(".image-frame"));
    const sides = [image.naturalWidth, image.naturalHeight];
    const length = isSmall ? 1 : Math.max(...sides) * CROSS_STEP;
    cross.xy = cross.xy.map((v, axis) => Math.min(Math.max(v + length * step[axis], 0), sides[axis] - 1));
    drawCross();
  };

  document.addEventListener("keydown", (event) => {
    if (!cross || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = ARROWS[event.key];
    if (!step && event.key !== "Enter") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (step) return moveCross(step, event.shiftKey);
    if (event.repeat) return;
    const tab = tabOf(cross.button.closest(".canvas"));
    send(`${tab}-gestures`, cross.xy, event.shiftKey ? "exclude" : "include");
  }, true);

  // Preview under the cursor: one question at a time, and only when the cursor rests.

  let timer = 0;
  let asked = 0; // when the unanswered question was sent; 0 if none

  const hidePreview = () => {
    clearTimeout(timer);
    document.querySelectorAll(".sam2-preview").forEach((over) => over.remove());
  };

  document.addEventListener("pointermove", (event) => {
    const found = event.pointerType === "mouse" && !event.buttons ? viewOf(event.target) : null;
    if (!found) return hidePreview();
    const channel = `${tabOf(found.view)}-preview`;
    const toggle = document.querySelector(`#${tabOf(found.view)}-hover input`);
    if (!toggle?.checked || !channels[channel] || !isInside(found.image, event.clientX, event.clientY)) {
      return hidePreview();
    }
    clearTimeout(timer);
    const { clientX, clientY } = event;
    timer = setTimeout(() => {
      if (asked && performance.now() - asked < PATIENCE) return;
      asked = performance.now();
      send(channel, pixelAt(found.image, clientX, clientY), found.image.src);
    }, REST);
  }, true);

  const showPreview = (element) => {
    asked = 0;
    const answer = element.querySelector("img");
    const view = document.querySelector(".canvas:hover .image-frame");
    const image = view?.querySelector("img:not(.sam2-preview)");
    // The picture may have changed meanwhile, by a click; then the preview is of no use.
    if (!answer || !image || element.querySelector("[data-of]")?.dataset.of !== image.src) return;
    const over = overlay(view, "sam2-preview", "img");
    const place = placeOf(image);
    over.src = answer.src;
    put(over, view, place.left, place.top, place.width, place.height);
  };

  // Downloads: the server has written a file and answers with a link to it, which is followed.

  const answered = (id, element) => {
    if (id.endsWith("-preview")) showPreview(element);
    if (id.endsWith("-status")) element.querySelector("a[download]")?.click();
    if (id.endsWith("-marks")) target = null;
  };

  // Frames of the video, by key and on the timeline.

  let target = null; // frame that was asked for and is not shown yet

  const frames = () => {
    const strip = document.querySelector("#video-marks [data-frames]");
    if (!strip?.offsetParent) return null; // another tab, or no video
    return { last: Number(strip.dataset.frames) - 1, now: Number(strip.dataset.frame), strip };
  };

  const show = (frame, last) => {
    target = Math.min(Math.max(frame, 0), last);
    send("video-marks", target, "frame");
  };

  // Where arrow keys have a meaning already: text, choices, sliders, tabs.
  const OWN_ARROWS = "input, textarea, select, [contenteditable], [role=tab], [role=listbox], video";

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return release();
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const found = frames();
    if (!step || !found || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target instanceof Element && event.target.closest(OWN_ARROWS)) return;
    event.preventDefault();
    show((target ?? found.now) + step * (event.shiftKey ? STRIDE : 1), found.last);
  });

  // Keys of the review tab, where they are not text.
  const REVIEW_KEYS = { a: "accept", r: "reject", n: "next", t: "track", u: "undo" };
  const TEXT = "input:not([type=radio], [type=range]), textarea, [contenteditable]";

  document.addEventListener("keydown", (event) => {
    const button = document.getElementById(`review-${REVIEW_KEYS[event.key]}`);
    if (!button?.offsetParent || event.repeat || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target instanceof Element && event.target.closest(TEXT)) return;
    event.preventDefault();
    button.click();
  });

  document.addEventListener("click", (event) => {
    const found = frames();
    const strip = event.target instanceof Element && event.target.closest("#video-thumbs, #video-marks");
    if (!strip || !found) return;
    const near = [...found.strip.querySelectorAll("[data-mark]")]
      .map((mark) => [Math.abs(mark.getBoundingClientRect().left - event.clientX), mark])
      .sort((a, b) => a[0] - b[0])[0];
    const box = found.strip.getBoundingClientRect();
    const frame = Math.round(((event.clientX - box.left) / box.width) * found.last);
    show(near && near[0] <= SNAP ? Number(near[1].dataset.mark) : frame, found.last);
  });

  // Names for screen readers, where Gradio's components have none or another than what is read.

  const text = (element) => element.innerText.replace(/\s+/g, " ").trim();
  const name = (element, label) => {
    if (label && element.getAttribute("aria-label") !== label) element.setAttribute("aria-label", label);
  };

  const mend = () => {
    document.querySelectorAll(".gallery-item").forEach((item) => {
      const file = item.querySelector("img, video")?.src.split("/").pop() ?? "";
      name(item, `Sample: ${decodeURIComponent(file).replace(/\.\w+$/, "")}`);
    });
    document.querySelectorAll(PICTURE).forEach((button) => {
      name(button, `${button.querySelector("img").alt}. ${KEYS}`);
    });
    document.querySelectorAll(".upload-container").forEach((area) => name(area, text(area)));
    document.querySelectorAll("button.thumbnail-item").forEach((item) => {
      name(item, `Mask ${text(item)}`);
      item.setAttribute("aria-pressed", String(item.classList.contains("selected")));
    });
    document.querySelectorAll(".empty[aria-label]").forEach((box) => box.setAttribute("role", "img"));
  };

  let mending = 0;
  const soon = () => {
    cancelAnimationFrame(mending);
    mending = requestAnimationFrame(mend);
  };
  const start = () => {
    new MutationObserver(soon).observe(document.body, {
      childList: true, subtree: true, attributes: true, attributeFilter: ["class", "src"],
    });
    soon();
  };
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
