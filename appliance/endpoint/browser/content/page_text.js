// The text that a page shows, through shadow roots, whenever it has changed.
(() => {
  const device = globalThis.schoolDevice;
  if (device.readPage) return;

  const { dom } = device;
  const PAUSE_MS = 500;
  const LONGEST_PAUSE_MS = 10_000;
  const SHARE = 20; // reading takes at most a twentieth of the page's time
  const MOST = 500_000;
  const SMALLEST_SEEN = 2; // pixels
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
      device.listenForTyping(); // a page that writes itself anew takes away all that listens
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

    device.roots = () => [...watched].filter((root) => root === document || dom.isConnected(root.host));
    watch(document);
    if (dom.readyState(document) === "loading") addEventListener("DOMContentLoaded", readSoon, { signal });
    addEventListener("load", readSoon, { signal });
    readSoon();
  };

  // The text as it stands on the page, a line for each block, and the shadow roots that it was found in.
  function visibleText(start) {
    const pieces = [];
    const roots = [];
    let length = 0;

    function walk(node, isVisible) {
      for (let child = dom.firstChild(node); child && length < MOST; child = dom.nextSibling(child)) {
        const type = dom.nodeType(child);
        if (type === Node.TEXT_NODE) isVisible && add(child.data);
        else if (type === Node.ELEMENT_NODE) device.each([child], enter);
      }
    }

    function enter(element) {
      const name = dom.tagName(element).toUpperCase();
      if (NO_TEXT.has(name) || device.typedIn.has(element)) return;
      const { display, visibility } = getComputedStyle(element);
      if (display === "none") return;
      const isBlock = !(display.startsWith("inline") || display === "contents") || name === "BR";
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

    const body = dom.body(start);
    if (body) device.each([body], enter);
    return { text: pieces.join("").replace(/[ \t]+/g, " ").replace(/\s*\n\s*/g, "\n").trim().slice(0, MOST), roots };
  }

  // The frames that this document holds: {address}, as it was written there, and whether any of it can be seen.
  device.frames = () => {
    const found = device.roots().flatMap((root) => [...dom.all(root, "iframe, frame, object, embed")]);
    return found.map((element) => ({ address: element.src || element.data || "", isSeen: isSeen(element) }));
  };

  function isSeen(element) {
    const { width, height } = dom.rectangle(element);
    const how = { opacityProperty: true, visibilityProperty: true };
    return width >= SMALLEST_SEEN && height >= SMALLEST_SEEN && dom.isShown(element, how);
  }
})();
