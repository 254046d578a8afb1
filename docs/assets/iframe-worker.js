/* Browsers start no worker for a page opened from a folder. There the search runs in a hidden frame. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = `<script>
        self.postMessage = data => parent.dispatchEvent(new CustomEvent("worker-answer", { detail: data }));
        self.importScripts = (...urls) => urls.reduce((done, url) => done.then(() => new Promise((loaded, failed) => {
          const script = document.createElement("script");
          Object.assign(script, { src: url, onload: loaded, onerror: failed });
          document.body.append(script);
        })), Promise.resolve());
      <\/script><script src="${new URL(url, document.baseURI)}"><\/script>`;
      addEventListener("worker-answer", event =>
        this.dispatchEvent(new MessageEvent("message", { data: event.detail })));
      frame.addEventListener("load", () => {
        this.frame = frame;
        this.waiting.splice(0).forEach(data => this.postMessage(data));
      });
      document.body.append(frame);
    }

    postMessage(data) {
      if (!this.frame) return void this.waiting.push(data);
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {
      this.frame?.remove();
    }
  };
}
