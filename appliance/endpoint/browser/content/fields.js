// Fields in which something is written, and which of them are secret: passwords, also when they are shown, codes and
// cards. What stands in a secret field is never read.
(() => {
  const device = (globalThis.schoolDevice ??= {});
  if (device.isSecret) return;

  const SECRET_AUTOCOMPLETE = /(^|\s)(\S*password\S*|one-time-code|cc-\S+)(\s|$)/i;
  const WRITTEN_IN = new Set(["text", "search", "email", "url", "tel", "number"]);

  const everSecret = new WeakSet();
  let found = []; // weak references to what has ever been secret

  device.isField = (element) =>
    element instanceof HTMLTextAreaElement || (element instanceof HTMLInputElement && WRITTEN_IN.has(element.type));

  device.isSecret = (element) => {
    if (!(element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement)) return false;
    if (looksSecret(element)) remember(element);
    return everSecret.has(element);
  };

  function looksSecret(element) {
    if (element.type === "password") return true;
    if (SECRET_AUTOCOMPLETE.test(element.getAttribute("autocomplete") ?? "")) return true;
    const masked = getComputedStyle(element).getPropertyValue("-webkit-text-security"); // dots in an ordinary field
    return masked !== "" && masked !== "none";
  }

  function remember(element) {
    if (everSecret.has(element)) return;
    everSecret.add(element);
    found.push(new WeakRef(element));
  }

  // Whether something secret stands on the page in letters at this moment. The worker asks before it takes a picture.
  device.secretCanBeRead = () => {
    if (!device.isReading) return false;
    for (const root of device.roots()) markIn(root);
    found = found.filter((reference) => reference.deref()?.isConnected);
    return found.some((reference) => canBeRead(reference.deref()));
  };

  function canBeRead(element) {
    const masked = getComputedStyle(element).getPropertyValue("-webkit-text-security");
    const isMasked = element.type === "password" || (masked !== "" && masked !== "none");
    return !isMasked && element.value !== "" && element.getClientRects().length > 0;
  }

  function markIn(root) {
    for (const element of root.querySelectorAll("input, textarea")) device.isSecret(element);
  }

  // Watch a document or shadow root for fields that come, and for passwords that a button shows.
  device.watchFields = (root, signal) => {
    markIn(root);
    const observer = new MutationObserver((changes) => {
      for (const { type, target, oldValue, addedNodes } of changes) {
        if (type === "attributes" && oldValue === "password") remember(target);
        for (const node of addedNodes) if (node instanceof Element) markAround(node);
      }
    });
    observer.observe(root, {
      subtree: true, childList: true, attributes: true, attributeFilter: ["type"], attributeOldValue: true,
    });
    signal.addEventListener("abort", () => observer.disconnect());
  };

  function markAround(node) {
    device.isSecret(node);
    markIn(node);
  }

  // Shadow roots, closed ones too

  device.shadowOf = (element) => {
    if (!(element instanceof HTMLElement)) return null;
    return element.shadowRoot ?? chrome.dom?.openOrClosedShadowRoot(element) ?? null;
  };

  // What an event is really about, through all shadow roots.
  device.targetOf = (event) => {
    let target = event.composedPath()[0];
    for (let root = device.shadowOf(target); root?.activeElement; root = device.shadowOf(target)) {
      target = root.activeElement;
    }
    return target;
  };
})();
