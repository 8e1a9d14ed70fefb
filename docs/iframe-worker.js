// Browsers start no worker for a page that was opened from a folder; the search then runs in a
// hidden frame. Material looks for this name (https://github.com/squidfunk/iframe-worker).
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = (this.inside = frame.contentWindow);
      inside.document.open(); // Firefox would replace the empty page later
      inside.document.write("<body>");
      inside.document.close();
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = async (...urls) => {
        for (const src of urls) {
          await new Promise((done, failed) => {
            const script = inside.document.createElement("script");
            Object.assign(script, { src, onload: done, onerror: failed });
            inside.document.body.append(script);
          });
        }
      };
      this.loaded = inside.importScripts(new URL(url, location.href).href);
    }
    postMessage(data) {
      const message = () => new this.inside.MessageEvent("message", { data });
      this.loaded.then(() => this.inside.dispatchEvent(message()));
    }
  };
  window.Worker = window.IFrameWorker;
}
