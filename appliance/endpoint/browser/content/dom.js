// What the browser itself knows of a page's elements. A page may call a field "firstChild", and `form.firstChild` is
// that field then, in here too; the same goes for documents. So of both, everything is asked through here.
(() => {
  const NAME = "schoolDevice";
  if (!Object.hasOwn(globalThis, NAME)) Object.defineProperty(globalThis, NAME, { value: {} }); // an id may be called so
  const device = globalThis[NAME];
  if (device.dom) return;

  const getter = (owner, name) => {
    const { get } = Object.getOwnPropertyDescriptor(owner.prototype, name);
    return (thing) => get.call(thing);
  };
  const method = (owner, name) => {
    const own = owner.prototype[name];
    return (thing, ...given) => own.apply(thing, given);
  };

  const nodeType = getter(Node, "nodeType");
  const allIn = new Map([
    [Node.ELEMENT_NODE, method(Element, "querySelectorAll")],
    [Node.DOCUMENT_NODE, method(Document, "querySelectorAll")],
    [Node.DOCUMENT_FRAGMENT_NODE, method(DocumentFragment, "querySelectorAll")],
  ]);
  const shadowRoot = getter(Element, "shadowRoot");
  const isContentEditable = getter(HTMLElement, "isContentEditable");

  const dom = {
    nodeType,
    firstChild: getter(Node, "firstChild"),
    nextSibling: getter(Node, "nextSibling"),
    isConnected: getter(Node, "isConnected"),
    tagName: getter(Element, "tagName"),
    rectangle: method(Element, "getBoundingClientRect"),
    isShown: method(Element, "checkVisibility"),
    innerText: getter(HTMLElement, "innerText"),
    body: getter(Document, "body"),
    readyState: getter(Document, "readyState"),
    visibilityState: getter(Document, "visibilityState"),
    all: (root, selector) => allIn.get(nodeType(root))(root, selector),
    isEditable: (element) => element instanceof HTMLElement && isContentEditable(element),
  };
  device.dom = dom;

  // Shadow roots, closed ones too

  device.shadowOf = (element) => {
    if (!(element instanceof HTMLElement)) return null;
    return shadowRoot(element) ?? chrome.dom?.openOrClosedShadowRoot(element) ?? null;
  };

  // What an event is really about, through all shadow roots.
  device.targetOf = (event) => {
    let target = event.composedPath()[0];
    for (let root = device.shadowOf(target); root?.activeElement; root = device.shadowOf(target)) {
      target = root.activeElement;
    }
    return target;
  };

  // What one thing of a page does wrong must not keep the rest from being looked at.
  device.each = (things, look) => {
    for (const thing of things) {
      try {
        look(thing);
      } catch (error) {
        console.debug(`Something on the page could not be looked at: ${error.name}`);
      }
    }
  };
})();
