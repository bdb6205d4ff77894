// Fields in which something is written, and which of them are secret: passwords, also when they are shown, codes and
// cards. What stands in a secret field is never read.
(() => {
  const device = globalThis.schoolDevice;
  if (device.isSecret) return;

  const { dom } = device;
  const CARD = /(^|\s)cc-\S+(\s|$)/i;
  const CODE = /(^|\s)one-time-code(\s|$)/i;
  const LONGEST_CODE = 10;
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
    if (element instanceof HTMLInputElement && isForACode(element)) return true;
    const masked = getComputedStyle(element).getPropertyValue("-webkit-text-security"); // dots in an ordinary field
    return masked !== "" && masked !== "none";
  }

  // Pages also say "new-password" or "one-time-code" of ordinary fields, so that browsers leave them alone.
  function isForACode(input) {
    const purpose = input.getAttribute("autocomplete") ?? "";
    if (CARD.test(purpose)) return true;
    return CODE.test(purpose) && input.maxLength >= 0 && input.maxLength <= LONGEST_CODE;
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
    device.each(dom.all(root, "input, textarea"), device.isSecret);
  }

  // Watch a document or shadow root for fields that come, and for passwords that a button shows.
  device.watchFields = (root, signal) => {
    markIn(root);
    const observer = new MutationObserver((changes) => {
      for (const { type, target, oldValue, addedNodes } of changes) {
        if (type === "attributes" && oldValue === "password") remember(target);
        device.each(addedNodes, (node) => node instanceof Element && markAround(node));
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
})();
