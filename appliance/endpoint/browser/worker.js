// The service worker: everything it listens to, at the top, so that each of it wakes a worker that was ended.

import { Connection } from "./connection.js";
import { Navigation } from "./navigation.js";
import { Noticing } from "./noticing.js";
import { Pages } from "./pages.js";
import { Pictures } from "./pictures.js";
import { Policy } from "./policy.js";
import { Queue } from "./queue.js";
import { Status } from "./status.js";

const ALARM = "connection";
const UPDATE_MS = 60_000; // the longest that a newer version waits for an empty queue, which is on the disk anyway

const policy = new Policy();
const queue = new Queue();
const status = new Status(policy);
const connection = new Connection({ queue, policy, onPolicy: takePolicy, onState: takeState });
const noticing = new Noticing({ policy, queue, connection, pictures: new Pictures(policy) });
const navigation = new Navigation({ policy, noticing });
const pages = new Pages({ policy, noticing });
const ready = policy.load().catch((error) => console.warn(`The kept policy is damaged: ${error.name}`));

async function takePolicy(message) {
  const answer = await policy.take(message);
  if (answer === "refused") console.warn("A policy was refused: it is not signed by the box, or older than the last one.");
  if (answer !== "taken") return answer;
  await status.show();
  await pages.askAgain();
  return answer;
}

async function takeState(state, isFinal) {
  if (policy.isThere && (state === "waiting" || isFinal)) {
    await policy.forget();
    await pages.askAgain();
  }
  await status.show(state);
}

const connect = () => ready.then(() => connection.connect());

chrome.runtime.onInstalled.addListener(() => ready.then(() => pages.enterAll()));
chrome.runtime.onStartup.addListener(connect);
chrome.alarms.onAlarm.addListener(connect);
chrome.storage.onChanged.addListener((_changes, area) => {
  if (area === "managed") ready.then(() => connection.settingsChanged());
});

chrome.runtime.onUpdateAvailable.addListener(() => {
  const restartWhenIdle = () => noticing.isIdle && connection.isIdle && chrome.runtime.reload();
  restartWhenIdle();
  setInterval(restartWhenIdle, 1_000);
  setTimeout(() => chrome.runtime.reload(), UPDATE_MS);
});

chrome.runtime.onMessage.addListener((message, sender, answer) => {
  ready.then(() => pages.hear(message, sender)).then(answer, () => answer(null)); // it asks again
  return true; // the answer comes later
});

chrome.webNavigation.onBeforeNavigate.addListener((details) => ready.then(() => navigation.begins(details)));
chrome.webNavigation.onCommitted.addListener((details) => ready.then(() => navigation.commits(details)));
chrome.webNavigation.onHistoryStateUpdated.addListener((details) => ready.then(() => navigation.changes(details)));
chrome.webNavigation.onCompleted.addListener((details) => ready.then(() => navigation.arrived(details)));
chrome.webNavigation.onErrorOccurred.addListener((details) => ready.then(() => navigation.arrived(details)));
chrome.tabs.onUpdated.addListener((tabId, { title }, tab) => {
  if (title) ready.then(() => navigation.titled(tabId, title, tab));
});
chrome.tabs.onRemoved.addListener((tabId) => {
  navigation.closed(tabId);
  noticing.closed(tabId);
});

chrome.alarms.create(ALARM, { periodInMinutes: 0.5 });
self.addEventListener("online", connect);
connect();
