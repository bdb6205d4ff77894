// What the part inside pages asks for and tells, and putting it into pages that were open before it came.

const ASK_AGAIN = { type: "policy" };

export class Pages {
  constructor({ policy, noticing }) {
    this.policy = policy;
    this.noticing = noticing;
  }

  // "hello": may anything be read here? "text": look into this.
  async hear(message, sender) {
    if (sender.id !== chrome.runtime.id || !sender.tab) return { read: false };
    if (!this.#mayBeRead(sender, message.ancestors ?? [])) return { read: false };
    return message.type === "text" ? { read: true, counts: await this.#look(message, sender) } : { read: true };
  }

  #mayBeRead({ tab, url, origin }, ancestors) {
    return this.policy.isThere && !this.policy.isExempt([tab.url, url, origin, ...ancestors]);
  }

  async #look({ surface, text, known, isLeaving }, { tab, frameId, documentId }) {
    const page = isLeaving ? null : await topPage(tab, frameId, documentId);
    const seen = { surface, text, title: tab.title ?? "", address: tab.url ?? "", tabId: tab.id, page };
    return this.noticing.look(seen, known);
  }

  // The policy may have changed what can be read: every page asks again.
  async askAgain() {
    for (const { id } of await chrome.tabs.query({})) {
      chrome.tabs.sendMessage(id, ASK_AGAIN).catch(() => null); // pages without our part
    }
  }

  // Pages that were open before do not have our part, or an old one.
  async enterAll() {
    const [{ js: files }] = chrome.runtime.getManifest().content_scripts;
    for (const { id, url } of await chrome.tabs.query({})) {
      if (!/^(https?|file):/.test(url ?? "") || this.policy.isExempt([url])) continue;
      const frames = (await chrome.webNavigation.getAllFrames({ tabId: id })) ?? [];
      const frameIds = frames.filter((frame) => !this.policy.isExempt([frame.url])).map(({ frameId }) => frameId);
      const target = { tabId: id, frameIds };
      chrome.scripting.executeScript({ target, files, injectImmediately: true }).catch(() => null); // it was closed
    }
  }
}

async function topPage(tab, frameId, documentId) {
  if (frameId === 0) return { documentId, address: tab.url };
  const top = await chrome.webNavigation.getFrame({ tabId: tab.id, frameId: 0 });
  return top ? { documentId: top.documentId, address: tab.url } : null;
}
