// Shows the newest picture, one after the other, until the server is gone.
"use strict";
const shown = document.getElementById("picture");
const state = document.getElementById("state");
let number = 0;
let failed = 0;
function next() {
  const coming = new Image();
  coming.onload = () => {
    failed = 0;
    shown.src = coming.src;
    setTimeout(next, 500);
  };
  coming.onerror = () => {
    failed += 1;
    if (failed < 4) {
      setTimeout(next, 500);
    } else {
      state.textContent = "It is over: this is how it stood last.";
    }
  };
  number += 1;
  coming.src = "picture.svg?" + number;
}
next();
