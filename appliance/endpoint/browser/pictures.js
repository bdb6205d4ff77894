// A picture of the page that something was noticed on: of the tab that is in front, and of no other; never where pupils
// look for help, and never while a password can be read. One at a time.

const SPACING_MS = 520; // browsers allow two in a second, and count strictly
const LIMIT_MS = 3_000; // of a window that was put away, a picture never comes
const MOST_WAITING = 6;
const QUALITY = 60;
const LARGEST = 2 * 2 ** 20; // the box takes none that is larger
const NO_PICTURE = Object.freeze({ state: "failed", jpeg: null });
const HIDDEN = Object.freeze({ state: "hidden", jpeg: null });

export class Pictures {
  #line = Promise.resolve();
  #waiting = new Map();

  constructor(policy) {
    this.policy = policy;
  }

  // A picture of this page of this tab: {state, jpeg}, with jpeg null unless the state is "taken". Never rejects.
  async take(tabId, page) {
    if (!(await isInFront(tabId))) return HIDDEN; // those behind take no place in the line
    const key = `${tabId} ${page.documentId} ${page.address}`;
    const same = this.#waiting.get(key);
    if (same) return same;
    if (this.#waiting.size >= MOST_WAITING) return NO_PICTURE;
    const taken = this.#line.then(() => {
      this.#waiting.delete(key);
      return within(LIMIT_MS, this.#shoot(tabId, page));
    });
    this.#waiting.set(key, taken);
    this.#line = taken.then(() => pause(SPACING_MS));
    return taken;
  }

  async #shoot(tabId, page) {
    const before = await this.#look(tabId, page);
    if (before.state) return { state: before.state, jpeg: null };
    const shot = await chrome.tabs.captureVisibleTab(before.windowId, { format: "jpeg", quality: QUALITY });
    const after = await this.#look(tabId, page); // what was in front may have changed in between
    if (after.state || after.windowId !== before.windowId) return { state: after.state ?? "hidden", jpeg: null };
    return { state: "taken", jpeg: await small(await (await fetch(shot)).blob()) };
  }

  // Why there can be no picture at this moment, or the window that shows the page.
  async #look(tabId, page) {
    const tab = await chrome.tabs.get(tabId).catch(() => null);
    if (!tab?.active) return { state: "hidden" };
    const frames = (await chrome.webNavigation.getAllFrames({ tabId })) ?? [];
    if (this.policy.isExempt([tab.url]) || (await this.#showsExempt(tabId, frames))) return { state: "exempt" };
    const top = frames.find(({ frameId }) => frameId === 0);
    const isThere = top?.documentId === page.documentId && isSamePage(tab.url, page.address);
    const { state } = await chrome.windows.get(tab.windowId);
    if (state === "minimized" || !isThere) return { state: "hidden" };
    return (await this.#aPasswordCanBeRead(tabId, frames)) ? { state: "secret" } : { state: null, windowId: tab.windowId };
  }

  // Whether a frame of a place that is left alone can be seen. Nothing of ours is in such a frame, so the page around it
  // is asked. A frame that it cannot tell from others, because it has gone elsewhere by itself, counts as seen.
  async #showsExempt(tabId, frames) {
    const exempt = frames.filter(({ url }) => this.policy.isExempt([url]));
    const ids = new Set(exempt.map(({ frameId }) => frameId));
    const outermost = exempt.filter(({ parentFrameId }) => !ids.has(parentFrameId));
    for (const parent of new Set(outermost.map(({ parentFrameId }) => parentFrameId))) {
      const inside = outermost.filter(({ parentFrameId }) => parentFrameId === parent);
      const written = await framesIn(tabId, parent);
      const known = written.filter(({ address }) => this.policy.isExempt([address]));
      if (known.length < inside.length || known.some(({ isSeen }) => isSeen)) return true;
    }
    return false;
  }

  async #aPasswordCanBeRead(tabId, frames) {
    const ours = frames.filter(({ url }) => !this.policy.isExempt([url]));
    const where = ours.length === frames.length ? { allFrames: true } : { frameIds: ours.map(({ frameId }) => frameId) };
    const found = await chrome.scripting.executeScript({
      target: { tabId, ...where },
      func: () => Object.hasOwn(globalThis, "schoolDevice") && schoolDevice.secretCanBeRead(),
      injectImmediately: true,
    });
    return found.some(({ result }) => result === true);
  }
}

// The frames that are written in a document: {address, isSeen}. None if nothing of ours is there.
async function framesIn(tabId, frameId) {
  const [{ result }] = await chrome.scripting.executeScript({
    target: { tabId, frameIds: [frameId] },
    func: () => (Object.hasOwn(globalThis, "schoolDevice") ? schoolDevice.frames() : []),
    injectImmediately: true,
  });
  return result ?? [];
}

// Pages change what stands behind the "#" and "?" while somebody types; another path is another page.
export function isSamePage(one, other) {
  const [first, second] = [new URL(one), new URL(other)];
  return first.origin === second.origin && first.pathname === second.pathname;
}

async function isInFront(tabId) {
  const tab = await chrome.tabs.get(tabId).catch(() => null);
  return tab?.active === true;
}

async function small(blob) {
  let picture = blob;
  for (let scale = 0.7; picture.size > LARGEST; scale *= 0.7) {
    const whole = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(whole.width * scale, whole.height * scale);
    canvas.getContext("2d").drawImage(whole, 0, 0, canvas.width, canvas.height);
    picture = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY / 100 });
  }
  return new Uint8Array(await picture.arrayBuffer());
}

function within(limit, picture) {
  return Promise.race([picture, pause(limit)]).then(
    (taken) => taken ?? NO_PICTURE,
    () => NO_PICTURE,
  );
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
