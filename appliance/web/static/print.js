// A button that prints, for browsers in which a script runs; everybody else uses the browser's own menu.
"use strict";
for (const place of document.querySelectorAll("[data-print]")) {
  place.hidden = false;
  place.querySelector("button").addEventListener("click", () => print());
}
