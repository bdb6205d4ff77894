// The picture in the toolbar, and what it says about this device when somebody points at it. It says what is true.

import { school } from "./generated/school.js";

const LOOKED_AFTER = `This school device is looked after by ${school || "your school"}.`;
const WORDS = {
  unset: "This school device has not been set up yet: nothing on it is looked at.",
  waiting: `${LOOKED_AFTER} It is waiting to be let in: nothing on it is looked at yet.`,
  refused: `${LOOKED_AFTER} It has not been let in: nothing on it is looked at. Please tell a teacher or IT.`,
};
const NOT_REACHED = `${LOOKED_AFTER} The school's box cannot be reached yet: nothing on it is looked at.`;
const LOOKING =
  "A program on it looks for signs that somebody is in danger, in what is written and read here. " +
  "Places where you look for help are left alone.";
const NOT_LOOKING = "What is written and read here is not kept.";
const AWAY = "The school's box cannot be reached at the moment; what is noticed waits on this device.";

export class Status {
  #state = "unset";

  constructor(policy) {
    this.policy = policy;
  }

  async show(state = this.#state) {
    this.#state = state;
    const title = this.words();
    await chrome.action.setTitle({ title });
  }

  words() {
    const { isThere, monitored } = this.policy;
    if (!isThere) return WORDS[this.#state] ?? NOT_REACHED;
    const parts = [LOOKED_AFTER, monitored ? LOOKING : NOT_LOOKING];
    return [...parts, ...(this.#state === "in" ? [] : [AWAY])].join(" ");
  }
}
