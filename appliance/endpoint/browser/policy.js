// What to look for: the newest policy of the box, kept for the time when the box is away, and the plugins it is for.

import { fromBase64url } from "./bytes.js";
import { exempt as exemptWhenPacked } from "./generated/school.js";
import { plugins } from "./generated/plugins.js";
import { publicKey } from "./identity.js";
import { Places } from "./places.js";
import { isSigned, patched, versionOf } from "./signed.js";

const KEPT_AS = "policy";
const SERIAL = "policySerial"; // kept apart: it never goes down, even when the policy is forgotten

export class Policy {
  #finders = [];
  #places = new Places(exemptWhenPacked);
  #content = null;
  version = "";
  serial = 0;
  monitored = false;
  intake = null;

  // Read what was kept; everything that needs the policy waits for this.
  async load() {
    const { [KEPT_AS]: kept, [SERIAL]: serial = 0 } = await chrome.storage.local.get([KEPT_AS, SERIAL]);
    this.serial = serial;
    if (kept) this.#use(kept);
  }

  // Take a policy, or what has changed in it. "taken"; "refused": it is not the box's, not for this browser or not newer;
  // "whole": what has changed does not fit what is here. If it was not taken, the one before stays.
  async take(message) {
    const { version, serial } = message;
    const isPatch = message.patch !== undefined;
    if (isPatch && (message.from !== this.version || !this.#content)) return "whole";
    if (!(serial > this.serial) || !(await isSigned(message, await publicKey(), chrome.runtime.getManifest().key))) {
      return "refused";
    }
    const policy = isPatch ? patched(this.#content, message.patch) : message.policy;
    if ((await versionOf(policy)) !== version) return isPatch ? "whole" : "refused";
    this.#use({ version, policy });
    this.serial = serial;
    await chrome.storage.local.set({ [KEPT_AS]: { version, policy }, [SERIAL]: serial });
    return "taken";
  }

  // The box has not let this device in, or not any more: nothing is looked for.
  async forget() {
    this.intake = null;
    this.monitored = false;
    this.version = "";
    this.#content = null;
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
    this.#content = policy;
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
