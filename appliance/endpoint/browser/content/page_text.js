// The text that a page shows, through shadow roots, whenever it has changed.
(() => {
  const device = (globalThis.schoolDevice ??= {});
  if (device.readPage) return;

  const PAUSE_MS = 500;
  const LONGEST_PAUSE_MS = 10_000;
  const SHARE = 20; // reading takes at most a twentieth of the page's time
  const MOST = 500_000;
  const NO_TEXT = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "TEXTAREA", "SELECT", "IFRAME", "OBJECT", "SVG"]);

  // tell(state, surface, text) hands a text to the worker.
  device.readPage = (tell, signal) => {
    const state = { known: {} };
    const watched = new Set();
    let timer = 0;
    let pause = PAUSE_MS;
    let last = "";

    const observer = new MutationObserver(readSoon);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      clearTimeout(timer);
    });

    function readSoon() {
      timer ||= setTimeout(read, pause);
    }

    function read() {
      timer = 0;
      const began = performance.now();
      const { text, roots } = visibleText(document);
      roots.forEach(watch);
      pause = Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_MS, (performance.now() - began) * SHARE));
      if (text === last) return;
      last = text;
      tell(state, "page", text);
    }

    function watch(root) {
      if (watched.has(root)) return;
      watched.add(root);
      observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true,
        attributeFilter: ["class", "style", "hidden", "open"] });
      device.watchFields(root, signal);
    }

    device.roots = () => [...watched].filter((root) => root === document || root.host.isConnected);
    watch(document);
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", readSoon, { signal });
    addEventListener("load", readSoon, { signal });
    readSoon();
  };

  // The text as it stands on the page, a line for each block, and the shadow roots that it was found in.
  function visibleText(start) {
    const pieces = [];
    const roots = [];
    let length = 0;

    function walk(node, isVisible) {
      for (let child = node.firstChild; child && length < MOST; child = child.nextSibling) {
        if (child.nodeType === Node.TEXT_NODE) isVisible && add(child.data);
        else if (child.nodeType === Node.ELEMENT_NODE) enter(child);
      }
    }

    function enter(element) {
      if (NO_TEXT.has(element.tagName.toUpperCase()) || device.typedIn.has(element)) return;
      const { display, visibility } = getComputedStyle(element);
      if (display === "none") return;
      const isBlock = !(display.startsWith("inline") || display === "contents") || element.tagName === "BR";
      if (isBlock) add("\n");
      const shadow = device.shadowOf(element);
      if (shadow) {
        roots.push(shadow);
        walk(shadow, visibility === "visible");
      }
      walk(element, visibility === "visible"); // what is slotted stands here
      if (isBlock) add("\n");
    }

    function add(text) {
      pieces.push(text);
      length += text.length;
    }

    if (start.body) enter(start.body);
    return { text: pieces.join("").replace(/[ \t]+/g, " ").replace(/\s*\n\s*/g, "\n").trim().slice(0, MOST), roots };
  }
})();
