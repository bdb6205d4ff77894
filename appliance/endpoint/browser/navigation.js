// Addresses, searches and titles of pages: what the browser itself knows of each tab, without looking into pages.

const SEARCH_FIELDS = [
  "q", "query", "p", "search", "search_query", "searchTerm", "search_term", "term", "keyword", "keywords", "k", "s",
  "text", "wd", "word", "field-keywords",
];
const SETTLED_MS = 3_000;

export class Navigation {
  #tabs = new Map(); // the page of each tab: {noticed, by surface; isHere; settled, a promise of the page; settle}

  constructor({ policy, noticing }) {
    this.policy = policy;
    this.noticing = noticing;
  }

  // A page begins to load.
  async begins({ tabId, frameId, url, documentLifecycle }) {
    if (frameId !== 0 || documentLifecycle === "prerender") return;
    await this.#goes(tabId, url, this.#begin(tabId));
  }

  // It was answered, perhaps from another address; some pages come without having begun.
  async commits({ tabId, frameId, url, documentLifecycle }) {
    if (frameId !== 0 || documentLifecycle === "prerender") return;
    const tab = this.#tabs.get(tabId);
    await this.#goes(tabId, url, tab && !tab.isHere ? tab : this.#begin(tabId));
  }

  // A page has changed its own address.
  async changes({ tabId, frameId, url }) {
    if (frameId !== 0) return;
    const tab = this.#begin(tabId);
    this.#settle(tabId, tab);
    await this.#goes(tabId, url, tab);
  }

  #begin(tabId) {
    this.#tabs.get(tabId)?.settle(null); // it never came to be
    let settle;
    const settled = new Promise((resolve) => (settle = resolve));
    const tab = { noticed: { search: {}, address: {}, title: {} }, isHere: false, settle, settled };
    this.#tabs.set(tabId, tab);
    setTimeout(() => this.#settle(tabId, tab), SETTLED_MS);
    return tab;
  }

  async #goes(tabId, url, { noticed, settled }) {
    if (!/^https?:/.test(url) || !this.policy.isThere || this.policy.isExempt([url])) return;
    const { search, address } = read(url);
    const seen = { title: "", address: url, tabId, page: null, settled };
    for (const [surface, text] of Object.entries({ search, address })) {
      const counts = await this.noticing.look({ ...seen, surface, text }, noticed[surface]);
      Object.assign(noticed[surface], counts);
    }
  }

  // A page has come, or will never come.
  arrived({ tabId, frameId }) {
    if (frameId === 0) this.#settle(tabId, this.#tabs.get(tabId));
  }

  async #settle(tabId, tab) {
    if (!tab || this.#tabs.get(tabId) !== tab) return;
    tab.isHere = true;
    tab.settle(await pageOf(tabId));
  }

  async titled(tabId, title, tab) {
    const address = tab.url ?? "";
    if (!this.policy.isThere || !/^https?:/.test(address) || this.policy.isExempt([address])) return;
    if (address.includes(title)) return; // until a page has a title, browsers show its address
    const { noticed } = this.#tabs.get(tabId) ?? this.#begin(tabId);
    const page = await pageOf(tabId);
    const seen = { surface: "title", text: title, title, address, tabId, page };
    Object.assign(noticed.title, await this.noticing.look(seen, noticed.title)); // one that comes and goes counts once
  }

  closed(tabId) {
    this.#tabs.get(tabId)?.settle(null);
    this.#tabs.delete(tabId);
  }
}

// The page that a tab holds at this moment: {documentId, address, title}, or null.
export async function pageOf(tabId) {
  try {
    const [tab, frame] = await Promise.all([chrome.tabs.get(tabId), chrome.webNavigation.getFrame({ tabId, frameId: 0 })]);
    return { documentId: frame.documentId, address: tab.url, title: tab.title ?? "" };
  } catch {
    return null;
  }
}

// An address as text: what was searched for, and the rest as people read it.
export function read(address) {
  const url = new URL(address);
  const field = SEARCH_FIELDS.find((name) => url.searchParams.get(name));
  const search = field ? url.searchParams.get(field) : "";
  if (field) url.searchParams.delete(field);
  return { search, address: decoded(`${url.host}${url.pathname}${url.search}${url.hash}`.replaceAll("+", " ")) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
