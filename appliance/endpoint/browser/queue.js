// Observations that the box does not have yet: on the disk, sealed, the oldest first; in memory where the disk fails.
// When there are too many, some are dropped and counted: first of what there is most of, and last what was typed.

import { within } from "./database.js";

const MOST = 500;
const MOST_BYTES = 64 * 2 ** 20;
const MOST_IN_MEMORY = 100;
const DROPPED = "dropped";
const TYPED = /(^| )typed$/;

export class Queue {
  #entries = new Map(); // {size, source} of each envelope by its number, the oldest first
  #inMemory = new Map(); // {id, envelope} of those that the disk did not take, by their numbers
  #unfinished = new Set(); // numbers of those whose picture is still being taken
  #sending = null;
  #dropped = 0;
  #opened = null;
  #lastInMemory = 0; // their numbers are negative

  constructor(most = MOST, mostBytes = MOST_BYTES) {
    this.most = most;
    this.mostBytes = mostBytes;
  }

  // Whatever was unfinished when the worker or the browser died is sent as it was kept. If the disk fails, the queue
  // works without it, and the next call tries again.
  async open() {
    const opening = (this.#opened ??= this.#read());
    try {
      await opening;
    } catch (error) {
      if (this.#opened === opening) this.#opened = null;
      warn(error);
    }
  }

  async #read() {
    const found = [];
    await within("queue", "readonly", (store) => {
      store.index("about").openKeyCursor().onsuccess = ({ target: { result: cursor } }) => {
        if (!cursor) return;
        const [size, source] = cursor.key;
        found.push([cursor.primaryKey, { size, source }]);
        cursor.continue();
      };
    });
    const dropped = (await within("counts", "readonly", (store) => store.get(DROPPED))) ?? 0;
    this.#entries = new Map([...found.sort(([one], [other]) => one - other), ...this.#entries]);
    this.#dropped += dropped;
  }

  get length() {
    return this.#entries.size;
  }

  get dropped() {
    return this.#dropped;
  }

  // Keep an envelope; it is on the disk when this answers with its number, if the disk works. It is sent once it is
  // `finish`ed. `source`: the tab and surface that it came from, such as "7 typed".
  async add(id, envelope, source = "") {
    await this.open();
    const size = envelope.length;
    let number;
    try {
      number = await within("queue", "readwrite", (store) => store.add({ id, envelope, size, source }));
      if (this.#entries.delete(number)) await this.countDropped(); // the disk was wiped and counts from one again
    } catch (error) {
      warn(error);
      number = --this.#lastInMemory;
      this.#inMemory.set(number, { id, envelope });
    }
    this.#entries.set(number, { size, source });
    this.#unfinished.add(number);
    await this.#makeRoom();
    return number;
  }

  // Send it from now on, as it is or with another envelope in its place.
  async finish(number, id, envelope = null) {
    const entry = this.#entries.get(number);
    if (envelope && entry) {
      await this.#replace(number, { id, envelope, size: envelope.length, source: entry.source });
      entry.size = envelope.length;
    }
    this.#unfinished.delete(number);
    await this.#makeRoom();
  }

  async #replace(number, whole) {
    try {
      if (this.#inMemory.has(number)) this.#inMemory.set(number, whole);
      else await within("queue", "readwrite", (store) => store.put(whole, number));
    } catch (error) {
      warn(error);
      this.#inMemory.set(number, whole);
    }
  }

  // The oldest that can be sent: {number, id, envelope}, or null.
  async next() {
    await this.open();
    let diskFails = false;
    for (const number of this.#entries.keys()) {
      if (this.#unfinished.has(number) || (diskFails && !this.#inMemory.has(number))) continue;
      this.#sending = number;
      try {
        const found = await this.#find(number);
        if (found) return { number, id: found.id, envelope: found.envelope };
      } catch (error) {
        diskFails = true; // the next time, perhaps
        warn(error);
      }
    }
    this.#sending = null;
    return null;
  }

  async #find(number) {
    const held = this.#inMemory.get(number);
    if (held) return held;
    const found = await within("queue", "readonly", (store) => store.get(number));
    if (!found && this.#entries.delete(number)) await this.countDropped(); // the disk was wiped
    return found;
  }

  async forget(number) {
    this.#entries.delete(number);
    this.#inMemory.delete(number);
    if (number < 0) return;
    // what cannot be deleted now is sent again some day, and kept once
    await within("queue", "readwrite", (store) => store.delete(number)).catch(warn);
  }

  async countDropped(number = 1) {
    await this.open();
    this.#dropped += number;
    if (!this.#opened) return; // what was counted before is not known
    await within("counts", "readwrite", (store) => store.put(this.#dropped, DROPPED)).catch(warn);
  }

  async #makeRoom() {
    for (let victim = this.#victim(); victim !== null; victim = this.#victim()) {
      await this.forget(victim);
      await this.countDropped();
    }
  }

  // The number of what must go, or null if there is room.
  #victim() {
    if (this.#inMemory.size > MOST_IN_MEMORY) return this.#oldestOfTheMost((number) => this.#inMemory.has(number), one);
    if (this.length > this.most) return this.#oldestOfTheMost(() => true, one);
    return this.#bytes() > this.mostBytes ? this.#oldestOfTheMost(() => true, ({ size }) => size) : null;
  }

  // The oldest from where most comes of what may go: a page that floods the queue pushes out its own.
  #oldestOfTheMost(mayGo, weight) {
    const all = [...this.#entries].filter(([number]) => mayGo(number) && number !== this.#sending);
    const others = all.filter(([, { source }]) => !TYPED.test(source));
    const weights = new Map();
    const candidates = others.length ? others : all;
    for (const [, entry] of candidates) {
      weights.set(entry.source, (weights.get(entry.source) ?? 0) + weight(entry));
    }
    const heaviest = Math.max(...weights.values());
    return candidates.find(([, { source }]) => weights.get(source) === heaviest)?.[0] ?? null;
  }

  #bytes() {
    return [...this.#entries.values()].reduce((whole, { size }) => whole + size, 0);
  }
}

function one() {
  return 1;
}

function warn(error) {
  console.warn(`The disk of this device failed: ${error?.name}`);
}
