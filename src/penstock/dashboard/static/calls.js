// Calls as they end, told by one channel; and a button that copies. Without it the page shows the same on reload.
"use strict";

const ROWS_KEPT = 200;

function lively(told) {
  const body = document.querySelector("#calls tbody"), pause = document.getElementById("pause");
  let after = told.dataset.after, channel = null, held = [], passed = 0, count = 0, isPaused = false, isHovered = false;
  pause.hidden = false;

  function say() {
    const waiting = held.length ? `, ${held.length} waiting` : "";
    const missed = passed ? `; ${passed.toLocaleString("en")} came too fast to be looked at` : "";
    told.textContent = `${isPaused ? "Paused" : isHovered ? "Held while you look" : "Live"}: ${count.toLocaleString("en")} calls${waiting}${missed}.`;
  }

  function show() {
    if (isPaused || isHovered || !held.length) return;
    const made = document.createElement("template");
    made.innerHTML = held.join("");
    const rows = [...made.content.children].filter((row) => !document.getElementById(row.id));
    rows.forEach((row) => { row.classList.add("fresh"); body.prepend(row); });
    while (body.rows.length > ROWS_KEPT) body.lastElementChild.remove();
    count += rows.length;
    held = [];
  }

  function open() {
    channel = new EventSource(`${told.dataset.live}&after=${after}`);
    channel.onmessage = (event) => {
      const news = JSON.parse(event.data);
      after = event.lastEventId;
      held = held.concat(news.rows).slice(-ROWS_KEPT);
      passed += news.passed;
      show();
      say();
    };
    channel.onerror = () => {
      told.textContent = channel.readyState === EventSource.CLOSED
        ? "Not live: too many look already, or you have to log in again. Reload to try again." : "Connecting again …";
    };
    channel.onopen = say;
  }

  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(isPaused));
    show();
    say();
  });
  const hovered = (is) => () => { isHovered = is; show(); say(); };
  body.addEventListener("mouseenter", hovered(true));
  body.addEventListener("mouseleave", hovered(false));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) channel.close(); else open();
  });
  open();
}

function copies(button) {
  const text = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(text);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";  // no clipboard without TLS: the keyboard copies it
    }
  });
}

addEventListener("DOMContentLoaded", () => {
  const told = document.getElementById("told");
  if (told) lively(told);
  document.querySelectorAll("[data-copies]").forEach(copies);
});
