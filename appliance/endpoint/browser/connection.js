// The one connection to the box: opened when there is none, shown who this is, kept alive; hands over what waits in the
// queue, one by one. docs/endpoint-protocol.md has the messages.

import * as identity from "./identity.js";
import { boxOf, facts, profileAccount, settings } from "./settings.js";

const PROTOCOL = 1;
const ALIVE_MS = 20_000; // a service worker with an idle connection is ended after 30 s
const SILENT_MS = 65_000;
const GREETING_MS = 15_000;
const ANSWER_MS = 60_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 20_000;
const LONGEST_REFUSAL_S = 3_600;
const UNSET_MS = 2_000; // some seconds after the first installation the policy is there, and the event may have been early
const UNSET_LONGEST_MS = 60_000; // then an alarm will do, and a browser without a policy has its rest

export class Connection {
  #socket = null;
  #opening = null;
  #admitted = false;
  #tries = 0;
  #notBefore = 0;
  #heardAt = null;
  #timers = new Set();
  #proof = null;
  #underWay = null;
  #isAskedAgain = false;
  #pausedUntil = 0;

  // onPolicy(message) takes a policy and answers as Policy.take does; onState(state, isFinal) hears "unset", "away", "waiting", "refused", "in";
  // isFinal: somebody has decided that it is not let in.
  constructor({ queue, policy, onPolicy, onState }) {
    this.queue = queue;
    this.policy = policy;
    this.onPolicy = onPolicy;
    this.onState = onState;
  }

  // Open the connection if there is none and it is time. Any number of callers at once open one.
  connect() {
    if (this.#socket || performance.now() < this.#notBefore) return this.#opening ?? Promise.resolve();
    this.#opening ??= this.#open().finally(() => (this.#opening = null));
    return this.#opening;
  }

  // The policy of the school says something else: begin anew.
  async settingsChanged() {
    await this.#opening?.catch(() => null); // it may have read what the policy said before
    this.#end();
    this.#notBefore = 0;
    this.#tries = 0;
    await this.connect();
  }

  async #open() {
    const set = await settings();
    const box = boxOf(set.serverUrl);
    if (!box) {
      if (performance.now() < UNSET_LONGEST_MS) this.#waitFor(UNSET_MS);
      return this.onState("unset");
    }
    this.onState("away");
    const socket = new WebSocket(box.address);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heardAt = moment();
    this.#proof = null;
    this.#later(GREETING_MS, () => this.#proof ?? this.#lost(socket));
    socket.onclose = () => this.#lost(socket);
    let line = Promise.resolve(); // messages are dealt with in their order
    socket.onmessage = ({ data }) => {
      line = line.then(() => this.#hear(socket, set, box, data)).catch((error) => {
        console.warn(`A message of the box could not be dealt with: ${error.name}`);
        this.#lost(socket);
      });
    };
  }

  async #hear(socket, set, box, data) {
    if (socket !== this.#socket) return;
    this.#heardAt = moment();
    const message = JSON.parse(data);
    switch (message.type) {
      case "challenge":
        this.#proof = await identity.prove(box.host, message.nonce);
        this.#every(ALIVE_MS, () => this.#showAlive(socket));
        return this.#hello(set, await identity.isKnown());
      case "unknown":
        if (!(await identity.isKnown())) return this.#refused(message); // it has the enrolment key already
        await identity.setKnown(false);
        return this.#hello(set, false);
      case "waiting":
        await identity.setKnown(true);
        return this.#settled("waiting");
      case "welcome":
        await identity.setKnown(true);
        this.#admitted = true;
        await this.#settled("in");
        return this.drain();
      case "refused":
        return this.#refused(message);
      case "policy":
        if ((await this.onPolicy(message)) === "whole") this.#tell({ type: "whole" });
        return;
      case "kept":
      case "rejected":
        return this.#handedOver(message.id);
      case "later":
        return this.#sendLater(message);
      case "update":
        return chrome.runtime.requestUpdateCheck();
    }
  }

  async #hello(set, isKnown) {
    const { queue, policy } = this;
    await queue.open();
    const told = { ...(await facts(set)), queued: queue.length, dropped: queue.dropped };
    const token = isKnown ? {} : { token: set.enrolToken };
    const now = { policy: policy.version, policySerial: policy.serial, time: Date.now() };
    this.#tell({ type: "hello", protocol: PROTOCOL, ...this.#proof, ...told, ...now, ...token });
  }

  async #settled(state) {
    this.#tries = 0;
    await this.onState(state);
  }

  async #refused({ seconds, final = false }) {
    this.#end();
    this.#waitFor(Math.min(Number(seconds) || 60, LONGEST_REFUSAL_S) * 1000);
    await this.onState("refused", final === true);
  }

  async #showAlive(socket) {
    if (msSince(this.#heardAt) > SILENT_MS) return this.#lost(socket);
    void this.drain(); // should the disk have failed the last time
    const { length: queued, dropped } = this.queue;
    this.#tell({ type: "alive", queued, dropped, profile: await profileAccount(), time: Date.now() });
  }

  #tell(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  // Handing over

  // Send the oldest that waits, if none is under way. Called whenever that may have changed.
  async drain() {
    const socket = this.#socket;
    this.#isAskedAgain = true;
    if (!this.#admitted || this.#underWay || performance.now() < this.#pausedUntil) return;
    const looking = { id: null };
    this.#underWay = looking;
    let next = null;
    try {
      while (!next && this.#isAskedAgain) {
        this.#isAskedAgain = false; // what is finished while this looks may not have been there when it looked
        next = await this.queue.next();
      }
    } finally {
      if (this.#underWay === looking) this.#underWay = next;
    }
    if (!next || this.#underWay !== next) return; // the connection was lost meanwhile
    socket.send(next.envelope);
    this.#later(ANSWER_MS, () => this.#underWay === next && this.#lost(socket));
  }

  async #handedOver(id) {
    const sent = this.#underWay;
    if (sent?.id !== id) return;
    await this.queue.forget(sent.number);
    if (this.#underWay !== sent) return; // the connection was lost meanwhile
    this.#underWay = null;
    await this.drain();
  }

  #sendLater({ id, seconds }) {
    if (this.#underWay?.id !== id) return;
    const pause = Math.max(1, Math.min(Number(seconds) || 1, 300)) * 1000;
    this.#underWay = null;
    this.#pausedUntil = performance.now() + pause;
    this.#later(pause + 1, () => this.drain());
  }

  get isIdle() {
    return this.#underWay === null && this.queue.length === 0;
  }

  // Ending and beginning again

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#end();
    this.onState("away");
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#tries, LONGEST_PAUSE_MS);
    this.#tries += 1;
    this.#waitFor(pause * (0.5 + Math.random() / 2)); // a whole school must not come back in the same moment
  }

  #waitFor(pause) {
    this.#notBefore = performance.now() + pause;
    setTimeout(() => this.connect(), pause + 1); // should the worker die meanwhile, an alarm does the same
  }

  #end() {
    const socket = this.#socket;
    this.#socket = null;
    this.#admitted = false;
    this.#underWay = null;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    if (!socket) return;
    socket.onclose = socket.onmessage = null;
    socket.close();
  }

  // Timers that end with the connection (clearTimeout ends intervals too)

  #later(pause, then) {
    this.#timers.add(setTimeout(then, pause));
  }

  #every(pause, then) {
    this.#timers.add(setInterval(then, pause));
  }
}

// Clocks of devices are set, also back, and some that run on evenly stand still while the device sleeps: by both.

function moment() {
  return { shown: Date.now(), run: performance.now() };
}

function msSince({ shown, run }) {
  return Math.max(Date.now() - shown, performance.now() - run);
}
