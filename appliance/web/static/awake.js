// Tells the box that somebody is here while there is typing or pointing, so that long writing is not locked away, and
// covers the page when nobody has been here for as long as the box allows. What was typed stays under the cover. A page
// in another tab counts as here: they share one session, and one left behind must not lock the one in use.
"use strict";
(() => {
  const idle = Number(document.body.dataset.idle) * 1000;
  if (!idle) return;
  const TELL_MS = Math.min(60000, idle / 3);
  let used = Date.now();
  let told = Date.now();
  let covered = false;
  const tabs = new BroadcastChannel("awake");
  tabs.addEventListener("message", () => { used = Date.now(); });
  tabs.postMessage("here"); // whoever goes from page to page may stay on none of them for long

  function here() {
    used = Date.now();
    if (covered || used - told < TELL_MS) return;
    told = used;
    tabs.postMessage("here");
    fetch("/awake", { method: "POST" }).then((answer) => { if (answer.status === 403) cover(); }, () => {});
  }
  for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"]) {
    addEventListener(kind, here, { passive: true });
  }

  let typed = false;
  addEventListener("input", () => { typed = true; });

  async function cover() {
    if (covered) return;
    covered = true;
    document.body.classList.add("covered");
    const locked = fetch("/lock", { method: "POST", redirect: "manual", signal: AbortSignal.timeout(5000) }).catch(() => {});
    if (!typed) {
      await locked; // else the next page may be asked for first, and finds everything open
      location.replace(`/unlock?wanted=${encodeURIComponent(location.pathname + location.search)}`);
      return;
    }
    const dialog = document.createElement("dialog");
    dialog.className = "cover";
    dialog.setAttribute("aria-labelledby", "cover-title");
    dialog.append(make("h1", "These pages are locked", "cover-title"),
      make("p", "Nobody used this browser for a while. What you typed is still here. Enter your password to go on."));
    const form = make("form", "");
    const label = make("label", "Password");
    const field = make("input", "", "cover-password");
    field.type = "password";
    field.autocomplete = "current-password";
    label.htmlFor = field.id;
    const wrong = make("p", "");
    wrong.className = "field-error";
    wrong.setAttribute("role", "alert");
    const button = make("button", "Open again");
    button.className = "button";
    form.append(label, wrong, field, button);
    dialog.append(form);
    document.body.append(dialog);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => dialog.showModal()); // Escape twice closes it whatever "cancel" says
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const body = new URLSearchParams({ password: field.value, from: "script" });
      const answer = await fetch("/unlock", { method: "POST", body }).catch(() => null);
      if (answer && answer.status === 204) {
        dialog.remove();
        document.body.classList.remove("covered");
        covered = false;
        used = told = Date.now();
      } else {
        const said = answer ? await answer.json().catch(() => null) : null;
        wrong.textContent = said ? said.error : answer
          ? "You are signed out. Open these pages in another tab and sign in there, then press the button once more."
          : "The box does not answer. Try again in a moment.";
        field.value = "";
        field.focus();
      }
    });
    dialog.showModal();
  }

  function make(name, words, id = "") {
    const made = document.createElement(name);
    made.textContent = words;
    if (id) made.id = id;
    return made;
  }

  setInterval(() => { if (Date.now() - used >= idle) cover(); }, 1000);
})();
