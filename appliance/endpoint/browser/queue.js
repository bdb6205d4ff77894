// Observations that the box does not have yet: on the disk, sealed, the oldest first. When there are too many, the
// oldest are dropped and counted.

import { within } from "./database.js";

const MOST = 500;
const MOST_BYTES = 64 * 2 ** 20;
const DROPPED = "dropped";

export class Queue {
  #sizes = new Map(); // the size of each envelope by its number, in the order of the numbers
  #unfinished = new Set(); // numbers of those whose picture is still being taken
  #sending = null;
  #dropped = 0;
  #opened = null;

  constructor(most = MOST, mostBytes = MOST_BYTES) {
    this.most = most;
    this.mostBytes = mostBytes;
  }

  // Whatever was unfinished when the worker or the browser died is sent as it was kept.
  open() {
    this.#opened ??= this.#read();
    return this.#opened;
  }

  async #read() {
    const found = [];
    await within("queue", "readonly", (store) => {
      store.index("size").openKeyCursor().onsuccess = ({ target: { result: cursor } }) => {
        if (!cursor) return;
        found.push([cursor.primaryKey, cursor.key]);
        cursor.continue();
      };
    });
    this.#sizes = new Map(found.sort(([one], [other]) => one - other));
    this.#dropped = (await within("counts", "readonly", (store) => store.get(DROPPED))) ?? 0;
  }

  get length() {
    return this.#sizes.size;
  }

  get dropped() {
    return this.#dropped;
  }

  // Keep an envelope; it is on the disk when this answers with its number. It is sent once it is `finish`ed.
  async add(id, envelope) {
    await this.open();
    const number = await within("queue", "readwrite", (store) => store.add({ id, envelope, size: envelope.length }));
    this.#sizes.set(number, envelope.length);
    this.#unfinished.add(number);
    await this.#makeRoom();
    return number;
  }

  // Send it from now on, as it is or with another envelope in its place.
  async finish(number, id, envelope = null) {
    if (envelope && this.#sizes.has(number)) {
      await within("queue", "readwrite", (store) => store.put({ id, envelope, size: envelope.length }, number));
      this.#sizes.set(number, envelope.length);
    }
    this.#unfinished.delete(number);
    await this.#makeRoom();
  }

  // The oldest that can be sent: {number, id, envelope}, or null.
  async next() {
    await this.open();
    for (const number of this.#sizes.keys()) {
      if (this.#unfinished.has(number)) continue;
      this.#sending = number;
      const found = await within("queue", "readonly", (store) => store.get(number));
      if (found) return { number, id: found.id, envelope: found.envelope };
      this.#sizes.delete(number);
    }
    return null;
  }

  async forget(number) {
    this.#sizes.delete(number);
    await within("queue", "readwrite", (store) => store.delete(number));
  }

  async countDropped(number = 1) {
    await this.open();
    this.#dropped += number;
    await within("counts", "readwrite", (store) => store.put(this.#dropped, DROPPED));
  }

  async #makeRoom() {
    while (this.length > this.most || this.#bytes() > this.mostBytes) {
      const oldest = [...this.#sizes.keys()].find((number) => number !== this.#sending);
      if (oldest === undefined) return;
      await this.forget(oldest);
      await this.countDropped();
    }
  }

  #bytes() {
    return [...this.#sizes.values()].reduce((whole, size) => whole + size, 0);
  }
}
