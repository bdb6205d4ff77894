// Codes from an app depend on the time. Say so when the clock of the box and of this computer differ, before a code fails.
"use strict";
(() => {
  const MOST_SECONDS = 30;
  const place = document.querySelector("[data-box-clock]");
  if (!place) return;
  const [arrival] = performance.getEntriesByType("navigation");
  const since = arrival ? performance.now() - arrival.responseStart : 0;
  // Not performance.timeOrigin: browsers go on counting it from their own start, also past a laptop's sleep.
  const apart = Math.round((Date.now() - since - Number(place.dataset.boxClock)) / 1000);
  if (Math.abs(apart) <= MOST_SECONDS) return;
  const words = (seconds) => {
    if (seconds < 120) return `${seconds} seconds`;
    if (seconds < 7200) return `${Math.round(seconds / 60)} minutes`;
    return `${Math.round(seconds / 3600)} hours`;
  };
  place.textContent =
    `The clock of this computer and the clock of the box are ${words(Math.abs(apart))} apart ` +
    `(the box ${apart > 0 ? "is behind" : "is ahead"}). A code from your app may not work. ` +
    "Ask IT to set the clock of the box, or set this computer's clock to the right time.";
  place.classList.add("notice", "moderate");
  place.setAttribute("role", "status");
  place.hidden = false;
})();
