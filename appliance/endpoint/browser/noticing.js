// From text to a sealed observation: what is noticed in it that was not there before, how much around it leaves the
// device, and how often.

import { bigEndian, cut, join, utf8 } from "./bytes.js";
import { Recent } from "./recent.js";
import { seal } from "./seal.js";
import { profileAccount } from "./settings.js";

const MOST_CHARACTERS = 4_000;
const MOST_PIECES = 5; // of one text at one time
const LONGEST_TITLE = 500;
const LONGEST_ADDRESS = 4_000;

export class Noticing {
  #recent = new Recent();
  #atWork = 0;

  constructor({ policy, queue, pictures, connection }) {
    this.policy = policy;
    this.queue = queue;
    this.pictures = pictures;
    this.connection = connection;
  }

  // Look into a text. `known` is what this gave for the same field or page before: what was noticed there how often, by
  // key. Only what is there more often now is sent. `page` is {documentId, address}; `settled`, if given, a promise of
  // the page that the picture is of. Answers when what was noticed is on the disk.
  // What is typed is written by nobody but a person; pages can show the same again and again, which is news once.
  async look({ surface, text, title, address, tabId, page, settled = null }, known = {}) {
    const found = this.policy.find(text, surface);
    const isFresh = surface === "typed" ? () => true : this.#recent.freshIn(tabId, surface, text, found);
    const { counts, news } = whatIsNew(found, known, isFresh);
    const pieces = piecesAround(text, news);
    const sent = pieces.slice(0, MOST_PIECES).filter(() => this.#recent.mayBeSent(tabId, surface));
    if (surface !== "typed") this.#recent.remember(tabId, surface, text, found, sent.length > 0);
    const at = Date.now();
    const kept = await Promise.allSettled(
      sent.map((piece) => this.#keep({ surface, text: piece, title, address, at }, tabId, page, settled)),
    );
    const lost = pieces.length - kept.filter(({ status }) => status === "fulfilled").length;
    if (lost > 0) await this.queue.countDropped(lost);
    return counts;
  }

  closed(tabId) {
    this.#recent.closed(tabId);
  }

  get isIdle() {
    return this.#atWork === 0;
  }

  // On the disk at once, without a picture, so that nothing is lost whatever happens to the browser; then with it.
  async #keep(seen, tabId, page, settled) {
    const { intake } = this.policy;
    const picture = this.#picture(tabId, page, settled);
    const id = crypto.randomUUID();
    const observation = {
      ...seen,
      title: cut(seen.title, LONGEST_TITLE),
      address: cut(seen.address, LONGEST_ADDRESS),
      profile: await profileAccount(),
    };
    const first = await seal(content({ ...observation, picture: "failed" }), id, intake);
    const number = await this.queue.add(id, first, `${tabId} ${seen.surface}`);
    void this.#complete(number, id, observation, picture, intake);
  }

  async #picture(tabId, page, settled) {
    const seen = settled ? await settled : page;
    if (!seen) return { state: "hidden", jpeg: null, title: "" };
    return { ...(await this.pictures.take(tabId, seen)), title: seen.title ?? "" };
  }

  async #complete(number, id, observation, picture, intake) {
    this.#atWork += 1;
    try {
      const { state, jpeg, title } = await picture;
      const whole = { ...observation, title: observation.title || cut(title, LONGEST_TITLE), picture: state };
      await this.queue.finish(number, id, await seal(content(whole, jpeg), id, intake));
    } catch (error) {
      console.warn(`The picture could not be added: ${error.name}`);
      await this.queue.finish(number, id);
    } finally {
      this.#atWork -= 1;
    }
    await this.connection.drain();
  }
}

export function content(observation, jpeg = null) {
  const words = utf8(JSON.stringify(observation));
  return join(bigEndian(words.length), words, jpeg ?? new Uint8Array());
}

// How often each key is there, and of each that is there more often than before, the last place that is fresh.
export function whatIsNew(found, known, isFresh = () => true) {
  const counts = {};
  const last = new Map();
  for (const one of found) {
    counts[one.key] = (counts[one.key] ?? 0) + 1;
    if (isFresh(one)) last.set(one.key, one);
  }
  const news = [...last.values()].filter(({ key }) => counts[key] > (known[key] ?? 0));
  return { counts, news: news.sort((one, other) => one.start - other.start) };
}

// Pieces of the text that hold what was noticed, each with what stands around it, as few as possible.
export function piecesAround(text, noticed) {
  const groups = [];
  for (const { start, end } of noticed) {
    const group = groups.at(-1);
    if (group && end - group.start <= MOST_CHARACTERS) group.end = Math.max(group.end, end);
    else groups.push({ start, end });
  }
  return groups.map((group) => piece(text, group));
}

function piece(text, { start, end }) {
  const around = Math.max(0, MOST_CHARACTERS - (end - start));
  const from = Math.max(0, Math.min(start - Math.floor(around / 2), text.length - MOST_CHARACTERS));
  const to = Math.min(text.length, from + MOST_CHARACTERS);
  return text.slice(from, to).toWellFormed().trim(); // half a character at an edge becomes a whole one
}
