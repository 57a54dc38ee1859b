// Shows the newest picture, one after the other, until the server is gone.
"use strict";
const place = document.getElementById("picture");
const state = document.getElementById("state");
const PAUSE = 500;
const FAILURES_MAX = 4;
let shown = 0;
let failed = 0;
async function next() {
  try {
    const response = await fetch("/picture.svg");
    if (!response.ok) {
      throw new Error(response.statusText);
    }
    const read = new DOMParser().parseFromString(await response.text(), "image/svg+xml");
    place.replaceChildren(document.importNode(read.documentElement, true));
    failed = 0;
    shown += 1;
    document.documentElement.dataset.shown = String(shown);
  } catch {
    failed += 1;
  }
  if (failed < FAILURES_MAX) {
    setTimeout(next, PAUSE);
  } else {
    state.textContent = "It is over: this is how it stood last.";
  }
}
next();
