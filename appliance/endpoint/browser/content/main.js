// Runs in every page and frame: asks the worker whether anything may be read here, then reads and hands over. What is
// looked for is not known here, and nothing leaves this file but to the worker.
(() => {
  const device = globalThis.schoolDevice;
  if (device.ask) return;

  const MOST_TRIES = 5;
  const PAUSE_MS = 300;
  const LATER_MS = 3_000;

  let reading = null;
  device.roots = () => [document];

  device.ask = async () => {
    const answer = await send({ type: "hello" });
    if (!answer) return setTimeout(device.ask, LATER_MS); // until then all stays as it was
    if (answer.read && !reading) start();
    if (!answer.read) stop();
  };

  function start() {
    reading = new AbortController();
    device.isReading = true;
    device.readTyping(tell, reading.signal);
    device.readPage(tell, reading.signal);
  }

  function stop() {
    reading?.abort();
    reading = null;
    device.isReading = false;
    device.forgetEarly();
  }

  // One text of a field or page after the other, so that nothing is noticed twice. What changed meanwhile is told next;
  // a page that is going cannot wait.
  async function tell(state, surface, text, isLeaving = false) {
    if (state.isTelling && !isLeaving) {
      state.next = text;
      return;
    }
    state.isTelling = true;
    const answer = await send({ type: "text", surface, text, known: state.known, isLeaving });
    state.isTelling = false;
    if (answer && !answer.read) return stop();
    if (answer) state.known = answer.counts;
    else setTimeout(() => tellNext(state, surface, text), LATER_MS); // or what has come instead by then
    if (answer && state.next !== undefined) await tellNext(state, surface);
  }

  async function tellNext(state, surface, otherwise) {
    const next = state.next ?? otherwise;
    delete state.next;
    if (reading) await tell(state, surface, next);
  }

  // What the worker answers; null if it could not answer now.
  async function send(message) {
    for (let tries = 0; tries < MOST_TRIES && chrome.runtime?.id; tries++) {
      const answer = await chrome.runtime
        .sendMessage({ ...message, ancestors: Array.from(location.ancestorOrigins) })
        .catch(() => null); // the worker is on its way
      if (typeof answer?.read === "boolean") return answer;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return chrome.runtime?.id ? null : { read: false }; // it was taken out, or a newer one has come and reads instead
  }

  chrome.runtime.onMessage.addListener((message) => {
    if (message.type === "policy") device.ask();
  });
  addEventListener("pageshow", ({ persisted }) => persisted && device.ask());
  device.ask();
})();
