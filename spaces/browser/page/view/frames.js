/** Frames one after the other: of a clip, or of the webcam. Neither is larger than the model needs. */

const LARGEST_SIDE = 640; // pixels
const EPSILON = 1e-3; // seconds into a frame: on its edge browsers disagree which one it is
const SECONDS_TO_READ = 20;

const CAMERA_ERRORS = {
  NotAllowedError:
    "The browser did not allow the camera. Allow it beside the page's address, and start it again.",
  NotFoundError: "There is no camera. Connect one, or choose a clip.",
  NotReadableError: "The camera is in use by another program. Close it, and start the webcam again.",
};

/** What clips and the webcam share: a video that is drawn. */
class VideoFrames {
  /** @param {HTMLVideoElement} video Its size is known. */
  constructor(video) {
    this.video = video;
    const scale = Math.min(1, LARGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
    this.width = Math.max(1, Math.round(video.videoWidth * scale));
    this.height = Math.max(1, Math.round(video.videoHeight * scale));
  }

  /**
   * Draw the frame of now.
   *
   * @param {HTMLCanvasElement} canvas Of this size.
   */
  draw(canvas) {
    canvas.getContext("2d").drawImage(this.video, 0, 0, this.width, this.height);
  }
}

/** The frames of a clip, so many a second; none is left out, however long the model takes. */
export class ClipFrames extends VideoFrames {
  isLive = false;

  /**
   * Open a clip.
   *
   * @param {Blob} file
   * @param {string} name Of the file.
   * @returns {Promise<ClipFrames>}
   */
  static async open(file, name) {
    const video = makeVideo();
    video.src = URL.createObjectURL(file);
    try {
      await happens(video, "loadeddata");
      if (!video.videoWidth) throw new Error();
      return new ClipFrames(video);
    } catch {
      URL.revokeObjectURL(video.src);
      throw new Error(
        `${name} is not a clip that this browser can play. MP4 (H.264) and WebM work almost everywhere.`,
      );
    }
  }

  /** Seconds; 0 if the file does not say. */
  get duration() {
    return Number.isFinite(this.video.duration) ? this.video.duration : 0;
  }

  /** @param {number} seconds */
  async seek(seconds) {
    const target = seconds + EPSILON;
    if (Math.abs(this.video.currentTime - target) < EPSILON / 2) return;
    const arrived = happens(this.video, "seeked");
    this.video.currentTime = target;
    await arrived;
  }

  /**
   * Go to the next frame.
   *
   * @param {number} rate Frames a second.
   * @returns {Promise<boolean>} False at the end.
   */
  async next(rate) {
    const before = this.video.currentTime;
    const target = before - EPSILON + 1 / rate;
    if (this.duration && target >= this.duration - EPSILON) return false;
    await this.seek(target);
    return this.video.currentTime > before;
  }

  close() {
    URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
  }
}

/** The frames of the webcam; those that come while the model is busy are left out. */
export class CameraFrames extends VideoFrames {
  isLive = true;

  /**
   * Start the webcam.
   *
   * @returns {Promise<CameraFrames>}
   */
  static async open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("The camera needs a page that came by HTTPS, or from this machine.");
    }
    const wanted = { width: { ideal: LARGEST_SIDE }, facingMode: "environment" };
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted }).catch((error) => {
      throw new Error(CAMERA_ERRORS[error.name] ?? `The camera cannot be used: ${error.message}.`);
    });
    const video = makeVideo();
    video.srcObject = stream;
    try {
      await happens(video, "loadeddata");
      await video.play();
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
    return new CameraFrames(video);
  }

  /** Wait for a frame; false once the camera is gone. */
  async next() {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    return this.video.srcObject?.getVideoTracks().some((track) => track.readyState === "live") ?? false;
  }

  close() {
    for (const track of this.video.srcObject?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
  }
}

function makeVideo() {
  const properties = { muted: true, playsInline: true, preload: "auto" };
  return Object.assign(document.createElement("video"), properties);
}

/** Wait for an event of a video. */
function happens(video, name) {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(SECONDS_TO_READ * 1000);
    signal.addEventListener("abort", () => reject(new Error("The clip cannot be read any further.")));
    video.addEventListener(name, resolve, { once: true, signal });
    video.addEventListener("error", () => reject(new Error("The clip cannot be read any further.")), {
      once: true,
      signal,
    });
  });
}
