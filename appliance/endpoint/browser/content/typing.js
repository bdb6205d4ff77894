// What is typed: read a moment after the last key, and at once when it is about to go (sent, left, closed).
(() => {
  const device = globalThis.schoolDevice;
  if (device.readTyping) return;

  const { dom } = device;
  const PAUSE_MS = 400;
  const LONGEST_PAUSE_MS = 2_000; // for somebody who types on and on
  const KEY_MS = 200; // the browser writes what a key means sooner, if it does
  const MOST_OF_A_FIELD = 20_000;
  const MOST_KEYS = 500;
  const MOST_EARLY = 20; // fields that somebody types in before it is known whether they may be read
  const MOST_SENT_EARLY = 5; // texts of such a field that were sent, each before the next was begun
  const MOST_OF_EARLY = 2_000;
  const CARET_KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);
  const LEAVES_KEYS = /^(insertCompositionText|format)/;
  const NOWHERE = Object.freeze({ element: null, keys: "", timer: 0, since: 0 });

  let tell = null; // tell(life, surface, text, isLeaving) hands a text to the worker; null while nothing may be read
  let lives = new WeakMap(); // a life is what one field holds from the first letter until it is empty: {known}
  let typed = { ...NOWHERE }; // where somebody types at this moment, and the keys themselves
  let pressed = null; // {element, key, timer}: a key that the browser may still write, or the page takes for itself
  let early = []; // {field, texts}: where somebody typed before it was known whether it may be read, the last at the end

  device.readTyping = (teller, signal) => {
    tell = teller;
    lives = new WeakMap();
    typed = { ...NOWHERE };
    signal.addEventListener("abort", () => {
      clearTimeout(typed.timer);
      clearTimeout(pressed?.timer);
      typed = { ...NOWHERE };
      tell = pressed = null;
    });
    const noted = early;
    device.forgetEarly();
    noted.forEach(readEarly);
  };

  // Where nothing may be read, nothing of it is kept.
  device.forgetEarly = () => {
    early = [];
  };

  const LISTENERS = {
    beforeinput(event) {
      forgetKey();
      const element = whereTo(event);
      if (!element) return;
      beginIn(element);
      takeKeys(event);
      readSoon();
    },
    input(event) {
      forgetKey();
      const element = whereTo(event);
      if (!element) return;
      if (element !== typed.element) moveTo(element);
      readSoon();
    },
    compositionend(event) {
      if (whereTo(event) === typed.element) addKeys(event.data ?? "");
    },
    keydown(event) {
      takeKey(); // of the one before, the browser would have written something by now
      if (event.key === "Enter" || CARET_KEYS.has(event.key)) endLine();
      else if (event.key === "Backspace" || isLetter(event)) awaitKey(whereTo(event), event.key);
    },
    keyup: () => takeKey(),
    pointerdown: () => endLine(),
    submit: () => readNow(),
    focusout() {
      takeKey();
      moveTo(null);
    },
    pagehide() {
      takeKey();
      readNow(true);
    },
    visibilitychange() {
      takeKey();
      if (dom.visibilityState(document) === "hidden") readNow();
    },
  };

  // Before all that the page itself may do with it; any number of times.
  device.listenForTyping = () => {
    for (const name of Object.keys(LISTENERS)) addEventListener(name, hear, { capture: true, passive: true });
  };
  device.listenForTyping();

  function hear(event) {
    if (!event.isTrusted) return; // pages can pretend that somebody types
    if (tell) LISTENERS[event.type](event);
    else if (device.isReading === undefined && /input$/.test(event.type)) noteEarly(whereTo(event));
  }

  // A field that holds nothing before or after a key was emptied: what it held was sent.
  function noteEarly(element) {
    if (!element) return;
    const noted = early.find(({ field }) => field.deref() === element) ?? { field: new WeakRef(element), texts: [""] };
    const text = device.textOf(element).slice(-MOST_OF_EARLY);
    if (text.trim()) noted.texts[noted.texts.length - 1] = text;
    else if (noted.texts.at(-1)) noted.texts = [...noted.texts, ""].slice(-MOST_SENT_EARLY);
    early = [...early.filter((one) => one !== noted), noted].slice(-MOST_EARLY);
  }

  function readEarly({ field, texts }) {
    const element = field.deref();
    if (element && device.isSecret(element)) return;
    const isThere = element && dom.isConnected(element);
    const held = isThere ? device.textOf(element) : "";
    for (const text of texts) if (text && !held.endsWith(text)) tell({ known: {} }, "typed", text);
    if (!isThere) return;
    moveTo(element); // reads the one before
    readSoon();
  }

  function whereTo(event) {
    const target = device.targetOf(event);
    if (!(target instanceof Element) || device.isSecret(target)) return null;
    if (target instanceof HTMLInputElement && !device.isField(target)) return null;
    return target;
  }

  function beginIn(element) {
    if (element !== typed.element) moveTo(element);
    if (!typed.keys.trim() && !device.textOf(element).trim()) lives.delete(element); // a new message in the same field
  }

  function moveTo(element) {
    readNow();
    typed = { ...NOWHERE, element };
    if (element && (device.isField(element) || dom.isEditable(element))) device.typedIn.add(element);
  }

  function endLine() {
    takeKey();
    readNow();
    typed.keys = "";
  }

  // Some editors show what is typed as a drawing, or clear the field at once: then the keys are all there is.
  function takeKeys({ inputType, data }) {
    if (inputType === "insertText") addKeys(data ?? "");
    else if (inputType === "insertParagraph" || inputType === "insertLineBreak") addKeys("\n");
    else if (inputType === "deleteContentBackward") removeKey();
    else if (!LEAVES_KEYS.test(inputType)) typed.keys = "";
  }

  function addKeys(keys) {
    typed.keys = (typed.keys + keys).slice(-MOST_KEYS);
  }

  function removeKey() {
    typed.keys = typed.keys.slice(0, -1);
  }

  // Other editors take each key themselves, before the browser writes anything.

  function isLetter(event) {
    const isCommand = (event.ctrlKey || event.altKey || event.metaKey) && !event.getModifierState("AltGraph");
    return Array.from(event.key).length === 1 && !isCommand && !event.isComposing;
  }

  function awaitKey(element, key) {
    if (element) pressed = { element, key, timer: setTimeout(takeKey, KEY_MS) };
  }

  function forgetKey() {
    clearTimeout(pressed?.timer);
    pressed = null;
  }

  function takeKey() {
    if (!pressed) return;
    const { element, key } = pressed;
    forgetKey();
    if (device.isSecret(element)) return;
    beginIn(element);
    if (key === "Backspace") removeKey();
    else addKeys(key);
    readSoon();
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

  function holds(text, keys) {
    const [whole, part] = [text, keys].map((one) => one.replace(/\s+/g, " ").trim());
    return whole.includes(part);
  }

  // Elements that somebody has typed in: what they hold is no text of the page.
  device.typedIn = new WeakSet();

  // What a field or an editable element holds; of something very long, what is around the caret.
  device.textOf = (element) => {
    const text = device.isField(element) ? element.value : dom.isEditable(element) ? dom.innerText(element) : "";
    if (text.length <= MOST_OF_A_FIELD) return text;
    const caret = element instanceof HTMLTextAreaElement ? element.selectionEnd : text.length;
    const from = Math.max(0, Math.min(caret - MOST_OF_A_FIELD / 2, text.length - MOST_OF_A_FIELD));
    return text.slice(from, from + MOST_OF_A_FIELD);
  };
})();
