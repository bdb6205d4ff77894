// Live lists. One tab of the browser holds the stream and passes on what comes; where a browser cannot agree on that
// between its tabs, each tab holds a stream of its own.
//
//   <tbody data-live-list="dns_filter.queries" data-limit="200">
//     <template><tr><td data-field="name"></td><td><b data-when="verdict=blocked">Blocked</b></td></tr></template>
//     <tr data-live-empty><td colspan="2">Nothing yet.</td></tr>
//   </tbody>
//
// [data-field] gets the text of that field; [data-when="field=value"] is left out of rows where it does not hold.
// [data-value="field"] gets the value of that field, such as a box to tick.
// [data-href="/place/{field}"] becomes a link to a page of this site: the path is the template's, the field is escaped.
// Of the list itself: data-live-only='{"field": "value"}' takes rows of this kind alone; data-live-rank="field" puts a
// row before those with the same or a higher data-rank; data-live-end puts rows at the end; with data-live-key="field" a
// row whose field is some row's data-key already is there and is not added again, or with data-live-renew takes its place.
//
// The body's data-live-place says where the stream was when the page was made: what came since then is asked for.
//
// What has a <template data-alert-bar> shows a line at the top when an alert comes. It says what kind of alert it is,
// and never anything about anybody.
"use strict";
(() => {
  const ANNOUNCE_MS = 10000;
  const RETRY_MS = 3000;
  const RETRY_MOST_MS = 60000;
  const MOST_KEPT = 500;
  const bodies = document.querySelectorAll("[data-live-list]");
  const notices = document.querySelector("[data-notices]");
  const alerts = document.querySelector("[data-alerts]");
  if (bodies.length === 0 && !notices && !alerts) return;

  class LiveList {
    constructor(body) {
      this.body = body;
      this.topic = body.dataset.liveList;
      this.limit = Number(body.dataset.limit) || 200;
      this.template = body.querySelector("template");
      this.only = Object.entries(JSON.parse(body.dataset.liveOnly || "{}"));
      this.waiting = [];
      this.paused = false;
      this.unsaid = 0;
      this.saidAt = 0;
      this.makeBar();
    }

    makeBar() {
      const bar = document.createElement("div");
      bar.className = "live-bar";
      this.button = document.createElement("button");
      this.button.type = "button";
      this.button.className = "button secondary small";
      this.button.addEventListener("click", () => this.setPaused(!this.paused));
      this.state = document.createElement("span");
      this.state.className = "live-state";
      this.note = document.createElement("span");
      this.note.className = "hint";
      this.voice = document.createElement("span");
      this.voice.className = "visually-hidden";
      this.voice.setAttribute("role", "status");
      bar.append(this.button, this.state, this.note, this.voice);
      this.body.closest("table").before(bar);
      this.setPaused(false);
      this.setState("connecting");
    }

    setPaused(paused) {
      this.paused = paused;
      this.button.textContent = paused ? "Go on" : "Pause";
      if (!paused) this.add(this.waiting.splice(0));
      this.showState();
    }

    setState(state) {
      this.connection = state;
      this.showState();
    }

    showState() {
      const live = this.connection === "live" && !this.paused;
      this.state.dataset.state = live ? "live" : "still";
      if (this.paused) this.state.textContent = `Paused, ${rows(this.waiting.length)} waiting`;
      else this.state.textContent = this.connection === "live" ? "Live" : "Connecting…";
    }

    take(data) {
      const fresh = (Array.isArray(data) ? data : [data]).filter((row) => this.fits(row));
      if (fresh.length === 0) return;
      this.waiting.push(...fresh);
      if (this.waiting.length > this.limit) this.waiting.splice(0, this.waiting.length - this.limit);
      if (!this.paused) this.add(this.waiting.splice(0));
      this.showState();
    }

    fits(row) {
      return this.only.every(([name, wanted]) => String(row[name]) === wanted);
    }

    add(fresh) {
      if (fresh.length === 0) return;
      const empty = this.body.querySelector("[data-live-empty]");
      if (empty) empty.remove();
      for (const row of fresh) {
        const known = this.known(row);
        if (known && !("liveRenew" in this.body.dataset)) continue;
        if (known) known.remove();
        this.put(this.make(row), row);
      }
      while (this.body.rows.length > this.limit) this.body.rows[this.body.rows.length - 1].remove();
      this.say(fresh.length);
    }

    known(row) {
      const { liveKey } = this.body.dataset;
      if (liveKey === undefined) return undefined;
      return Array.from(this.body.rows).find(({ dataset }) => dataset.key === String(row[liveKey]));
    }

    put(made, row) {
      const { liveKey } = this.body.dataset;
      if (liveKey !== undefined) made.firstElementChild.dataset.key = row[liveKey];
      if ("liveEnd" in this.body.dataset) {
        this.body.append(made);
        return;
      }
      const rank = this.body.dataset.liveRank ? Number(row[this.body.dataset.liveRank]) : null;
      if (rank === null) {
        this.template.after(made);
        return;
      }
      made.firstElementChild.dataset.rank = rank;
      const next = Array.from(this.body.rows).find((one) => Number(one.dataset.rank) >= rank);
      this.body.insertBefore(made, next || null);
    }

    make(row) {
      const made = this.template.content.cloneNode(true);
      for (const node of made.querySelectorAll("[data-when]")) {
        const [name, wanted] = node.dataset.when.split("=");
        if (String(row[name]) !== wanted) node.remove();
      }
      for (const node of made.querySelectorAll("[data-value]")) node.value = String(row[node.dataset.value]);
      for (const node of made.querySelectorAll("[data-field]")) {
        const value = row[node.dataset.field];
        node.textContent = value === null || value === undefined ? "" : String(value);
      }
      for (const node of made.querySelectorAll("[data-href]")) {
        const pattern = node.dataset.href;
        if (!/^\/[a-z]/.test(pattern)) continue; // a page of this site and nothing else
        node.href = pattern.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(row[name] ?? "")));
      }
      for (const child of made.children) child.classList.add("live-row");
      return made;
    }

    // A screen reader hears how many rows came, at most every ten seconds; never the rows themselves.
    say(count) {
      this.unsaid += count;
      if (this.timer) return;
      const pause = Math.max(0, this.saidAt + ANNOUNCE_MS - Date.now());
      this.timer = setTimeout(() => {
        this.timer = null;
        this.saidAt = Date.now();
        this.voice.textContent = `${rows(this.unsaid, "new ")}`;
        this.unsaid = 0;
      }, pause);
    }

    missed() {
      this.note.textContent = "Some rows may be missing. Load the page again to see all.";
    }
  }

  const rows = (count, kind = "") => `${count} ${kind}${count === 1 ? "row" : "rows"}`;
  const lists = Array.from(bodies, (body) => new LiveList(body));
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("appliance-live") : null;

  const me = crypto.randomUUID();
  let place = document.body.dataset.livePlace;
  const seen = new Set(); // places of messages that were shown

  function show(message) {
    if (message.to && message.to !== me) return;
    if (message.place) {
      if (seen.has(message.place)) return;
      seen.add(message.place);
      if (seen.size > MOST_KEPT) seen.delete(seen.values().next().value);
      place = message.place;
    }
    if (message.late && (message.topic === "appliance.notice" || message.topic === "appliance.alert")) return; // counted by the page
    if (message.state) lists.forEach((list) => list.setState(message.state));
    else if (message.topic === "appliance.notice") notice();
    else if (message.topic === "appliance.alert") showAlert(message.data);
    else if (message.topic === "appliance.standing") standing(message.data);
    else if (message.topic === "appliance.dropped") lists.forEach((list) => list.missed());
    else lists.filter((list) => list.topic === message.topic).forEach((list) => list.take(message.data));
  }

  // Something was said to whoever is signed in here. What it is stands on the home page.
  function notice() {
    if (!notices) return;
    const count = Number(notices.dataset.notices) + 1;
    notices.dataset.notices = count;
    notices.querySelector("span").textContent = `${count} ${count === 1 ? "notice" : "notices"} for you`;
    notices.setAttribute("role", "status");
    notices.hidden = false;
  }

  // Something must be looked at. Each one counts in the top line and in the title; the line at the top has the newest.
  let alerted = 0;
  const title = document.title;
  function showAlert({ alert: id, words, again }) {
    const template = document.querySelector("template[data-alert-bar]");
    if (!alerts || !template) return;
    alerted += 1;
    document.title = `(${alerted}) ${title}`;
    if (id && again !== "yes") countAlerts(Number(alerts.dataset.alerts) + 1);
    document.querySelector(".alert-bar")?.remove();
    const made = template.content.cloneNode(true);
    const bar = made.firstElementChild;
    bar.querySelector("[data-words]").textContent = alerted > 1 ? `${words}. ${alerted} have come.` : `${words}.`;
    const link = bar.querySelector("a");
    if (alerted === 1 && id) link.href = `/alerts/${encodeURIComponent(id)}`;
    else link.textContent = "See the alerts";
    bar.querySelector("button").addEventListener("click", () => bar.remove());
    document.querySelector(".skip").after(bar); // the first link stays the one that leads to the page itself
  }

  function countAlerts(count) {
    alerts.dataset.alerts = count;
    alerts.querySelector("span").textContent = `${count} ${count === 1 ? "alert" : "alerts"}`;
    alerts.hidden = false;
  }

  // What a stream says first: more alerts than this page knows of came while there was no stream.
  function standing({ alerts: waiting }) {
    if (!alerts || waiting <= Number(alerts.dataset.alerts)) return;
    countAlerts(waiting);
    showAlert({ words: "Alerts are waiting", again: "yes" });
  }

  function tell(message) {
    show(message);
    if (channel) channel.postMessage(message);
  }

  function hold() {
    let pause = RETRY_MS;
    let state = "connecting";
    let from = place; // whoever asks for what came since then or later can be told
    const kept = [];
    tell({ state });
    const connect = () => {
      const source = new EventSource(`/live?since=${encodeURIComponent(place)}`);
      source.addEventListener("open", () => {
        pause = RETRY_MS;
        state = "live";
        tell({ state });
      });
      source.addEventListener("message", (event) => {
        const message = JSON.parse(event.data);
        if (message.from) from = place = message.from; // nothing is known of what came before
        if (message.place) kept.push(message);
        if (kept.length > MOST_KEPT) from = kept.shift().place;
        tell(message);
      });
      source.addEventListener("error", () => {
        state = "connecting";
        tell({ state });
        if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
        setTimeout(connect, pause * (1 + Math.random()));
        pause = Math.min(pause * 2, RETRY_MOST_MS);
      });
      addEventListener("pagehide", () => source.close(), { once: true });
    };
    if (channel) {
      channel.addEventListener("message", ({ data }) => {
        if (data.ask === undefined) return;
        channel.postMessage({ state });
        if (state !== "live") return; // what comes first then is for all
        if (isBefore(data.ask, from)) channel.postMessage({ topic: "appliance.dropped", data: {}, to: data.by });
        const later = kept.filter((message) => isBefore(data.ask, message.place));
        for (const message of later) channel.postMessage({ ...message, late: true, to: data.by });
      });
    }
    connect();
  }

  // Places are "start-number"; nothing is known of how those of different starts of the box lie to each other.
  function isBefore(one, other) {
    const [[start, number], [otherStart, otherNumber]] = [one.split("-"), other.split("-")];
    return start !== otherStart || Number(number) < Number(otherNumber);
  }

  if (channel && navigator.locks) {
    channel.addEventListener("message", ({ data }) => {
      if (data.ask === undefined) show(data);
    });
    channel.postMessage({ ask: place, by: me });
    // Held for as long as this page lives; the next tab in line gets it then.
    navigator.locks.request("appliance-live", () => { hold(); return new Promise(() => {}); });
  } else {
    hold();
  }
})();
