// What to look for: the newest policy of the box, kept for the time when the box is away, and the plugins it is for.

import { fromBase64url } from "./bytes.js";
import { exempt as exemptWhenPacked } from "./generated/school.js";
import { plugins } from "./generated/plugins.js";
import { Places } from "./places.js";

const KEPT_AS = "policy";

export class Policy {
  #finders = [];
  #places = new Places(exemptWhenPacked);
  version = "";
  monitored = false;
  intake = null;

  // Read what was kept; everything that needs the policy waits for this.
  async load() {
    const { [KEPT_AS]: kept } = await chrome.storage.local.get(KEPT_AS);
    if (kept) this.#use(kept);
  }

  async take({ version, policy }) {
    this.#use({ version, policy });
    await chrome.storage.local.set({ [KEPT_AS]: { version, policy } });
  }

  // The box has not let this device in, or not any more: nothing is looked for.
  async forget() {
    this.intake = null;
    this.monitored = false;
    this.version = "";
    this.#finders = [];
    await chrome.storage.local.remove(KEPT_AS);
  }

  #use({ version, policy }) {
    const { vault, epoch, key } = policy.intake;
    const intake = { vault, epoch, key: fromBase64url(key) };
    const places = new Places([...exemptWhenPacked, ...policy.exempt, ...policy.own]);
    const finders = Object.entries(policy.plugins).flatMap(([name, part]) => prepared(name, part));
    this.intake = intake; // from here on nothing can fail: a policy applies as a whole or not at all
    this.monitored = policy.monitored === true;
    this.version = version;
    this.#places = places;
    this.#finders = finders;
  }

  get isThere() {
    return this.intake !== null;
  }

  // Whether nothing may be read or pictured where one of these addresses is.
  isExempt(addresses) {
    return this.#places.hold(addresses);
  }

  // What the plugins notice: [{key, start, end}], places in UTF-16 units. A plugin that fails notices nothing.
  find(text, surface) {
    return this.#finders.flatMap(({ name, find }) => {
      try {
        return find(text, surface).map(({ id, start, end }) => ({ key: `${name}/${id}`, start, end }));
      } catch (error) {
        console.warn(`The part of ${name} failed: ${error.name}`);
        return [];
      }
    });
  }
}

function prepared(name, part) {
  if (!plugins[name]) return [];
  try {
    return [{ name, find: plugins[name].prepare(part) }];
  } catch (error) {
    console.warn(`The part of ${name} cannot use its policy: ${error.name}`);
    return [];
  }
}
