// What each tab has shown of late, by surface, so that no page's script can use up what leaves this browser: neither by
// showing the same again and again, nor by always showing something else.

const MOST_A_MINUTE = 60; // of each surface of a tab
const MINUTE_MS = 60_000;
const REMEMBERED_MS = 10 * MINUTE_MS;
const MOST_REMEMBERED = 500;
const AROUND = 40; // characters by which a hit is known again

export class Recent {
  #places = new Map(); // by tab and surface: {sentAt, hits: {count, at} by what stands there}

  // Which of `found` are there more often than they have been in the last ten minutes.
  freshIn(tabId, surface, text, found) {
    const { hits } = this.#place(tabId, surface);
    forgetOld(hits);
    const now = counted(text, found);
    return (hit) => now.get(around(text, hit)) > (hits.get(around(text, hit))?.count ?? 0);
  }

  // They were there again; `isNews`: and some were sent.
  remember(tabId, surface, text, found, isNews) {
    const { hits } = this.#place(tabId, surface);
    for (const [words, count] of counted(text, found)) {
      const known = hits.get(words);
      if (!known && !isNews) continue;
      hits.delete(words); // the oldest stand first
      hits.set(words, { count: isNews ? Math.max(count, known?.count ?? 0) : known.count, at: performance.now() });
    }
    for (const words of hits.keys()) if (hits.size > MOST_REMEMBERED) hits.delete(words);
  }

  mayBeSent(tabId, surface) {
    const place = this.#place(tabId, surface);
    const now = performance.now();
    place.sentAt = place.sentAt.filter((at) => now - at < MINUTE_MS);
    if (place.sentAt.length >= MOST_A_MINUTE) return false;
    place.sentAt.push(now);
    return true;
  }

  closed(tabId) {
    for (const name of this.#places.keys()) if (name.startsWith(`${tabId} `)) this.#places.delete(name);
  }

  #place(tabId, surface) {
    const name = `${tabId} ${surface}`;
    if (!this.#places.has(name)) this.#places.set(name, { sentAt: [], hits: new Map() });
    return this.#places.get(name);
  }
}

function forgetOld(hits) {
  for (const [words, { at }] of hits) if (performance.now() - at > REMEMBERED_MS) hits.delete(words);
}

function counted(text, found) {
  const counts = new Map();
  for (const hit of found) {
    const words = around(text, hit);
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return counts;
}

// Numbers count up by themselves, as those of unread messages and times do.
function around(text, { key, start, end }) {
  const words = text.slice(Math.max(0, start - AROUND), end + AROUND);
  return `${key} ${words.replace(/\d+/g, "0").replace(/\s+/g, " ").trim()}`;
}
