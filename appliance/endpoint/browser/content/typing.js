// What is typed: read a moment after the last key, and at once when it is about to go (sent, left, closed).
(() => {
  const device = (globalThis.schoolDevice ??= {});
  if (device.readTyping) return;

  const PAUSE_MS = 400;
  const LONGEST_PAUSE_MS = 2_000; // for somebody who types on and on
  const MOST_OF_A_FIELD = 20_000;
  const MOST_KEYS = 500;
  const CARET_KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);

  // tell(life, surface, text, isLeaving) hands a text to the worker. A life is what one field holds from the first letter
  // until it is empty again: {known}, what was noticed in it.
  device.readTyping = (tell, signal) => {
    const lives = new WeakMap();
    let typed = { element: null, keys: "", timer: 0, since: 0 }; // where somebody types at this moment, and the keys themselves

    const listen = (name, then) => addEventListener(name, then, { capture: true, passive: true, signal });
    signal.addEventListener("abort", () => clearTimeout(typed.timer));

    listen("beforeinput", (event) => {
      const element = whereTo(event);
      if (!element) return;
      if (element !== typed.element) moveTo(element);
      if (!typed.keys && !device.textOf(element)) lives.delete(element); // a new message in the same field
      takeKeys(event);
      readSoon();
    });
    listen("input", (event) => {
      const element = whereTo(event);
      if (!element) return;
      if (element !== typed.element) moveTo(element);
      readSoon();
    });
    listen("compositionend", (event) => {
      if (whereTo(event) === typed.element) addKeys(event.data ?? "");
    });
    listen("keydown", (event) => {
      if (event.key === "Enter") readNow();
      if (event.key === "Enter" || CARET_KEYS.has(event.key)) typed.keys = "";
    });
    listen("pointerdown", () => {
      readNow();
      typed.keys = "";
    });
    listen("submit", () => readNow());
    listen("focusout", () => moveTo(null));
    listen("pagehide", () => readNow(true));
    listen("visibilitychange", () => document.visibilityState === "hidden" && readNow());

    function whereTo(event) {
      if (!event.isTrusted) return null; // pages can pretend that somebody types
      const target = device.targetOf(event);
      if (!(target instanceof Element) || device.isSecret(target)) return null;
      if (target instanceof HTMLInputElement && !device.isField(target)) return null;
      return target;
    }

    function moveTo(element) {
      readNow();
      typed = { element, keys: "", timer: 0, since: 0 };
      if (element) device.typedIn.add(element);
    }

    // Some editors show what is typed as a drawing, or clear the field at once: then the keys are all there is.
    function takeKeys({ inputType, data }) {
      if (inputType === "insertText") addKeys(data ?? "");
      else if (inputType === "insertParagraph" || inputType === "insertLineBreak") addKeys("\n");
      else if (inputType === "deleteContentBackward") typed.keys = typed.keys.slice(0, -1);
      else if (inputType !== "insertCompositionText") typed.keys = "";
    }

    function addKeys(keys) {
      typed.keys = (typed.keys + keys).slice(-MOST_KEYS);
    }

    function readSoon() {
      if (!typed.timer) typed.since = performance.now();
      clearTimeout(typed.timer);
      const longest = typed.since + LONGEST_PAUSE_MS - performance.now();
      typed.timer = setTimeout(readNow, Math.max(0, Math.min(PAUSE_MS, longest)));
    }

    function readNow(isLeaving = false) {
      if (!typed.timer) return; // nothing was typed since it was read
      clearTimeout(typed.timer);
      typed.timer = 0;
      const { element, keys } = typed;
      if (!element || device.isSecret(element)) return;
      const held = device.textOf(element);
      const text = holds(held, keys) ? held : `${held}\n${keys}`;
      if (!lives.has(element)) lives.set(element, { known: {} });
      tell(lives.get(element), "typed", text, isLeaving === true);
    }
  };

  function holds(text, keys) {
    const [whole, part] = [text, keys].map((one) => one.replace(/\s+/g, " ").trim());
    return whole.includes(part);
  }

  // Elements that somebody has typed in: what they hold is no text of the page.
  device.typedIn = new WeakSet();

  // What a field or an editable element holds; of something very long, what is around the caret.
  device.textOf = (element) => {
    const text = device.isField(element) ? element.value : element.isContentEditable ? element.innerText : "";
    if (text.length <= MOST_OF_A_FIELD) return text;
    const caret = element instanceof HTMLTextAreaElement ? element.selectionEnd : text.length;
    const from = Math.max(0, Math.min(caret - MOST_OF_A_FIELD / 2, text.length - MOST_OF_A_FIELD));
    return text.slice(from, from + MOST_OF_A_FIELD);
  };
})();
