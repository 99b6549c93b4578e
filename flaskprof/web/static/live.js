// Refreshes a page: puts what its address says now in the place of what it said before. The
// page is whole without this file, and says how things were when it was loaded.
"use strict";

const region = document.getElementById("live");
const line = document.querySelector(".live");
const button = document.getElementById("live-switch");
const status = line.querySelector("[role=status]");
const KEY = "flaskprof.refresh";

let timer = 0;
let isStopped = sessionStorage.getItem(KEY) === "off";

function say(text) {
  if (status.textContent !== text) status.textContent = text;
}

// What a reader is at is not taken away: a text that is selected, a menu that is open.
function isInUse() {
  const selection = getSelection();
  return !selection.isCollapsed && region.contains(selection.anchorNode);
}

// What an element is about: the same in the page as it was and as it is.
function about(element) {
  return element.getAttribute("aria-labelledby") ?? element.getAttribute("href")
    ?? element.querySelector("a[href]")?.getAttribute("href");
}

function alike(element) {
  const section = (one) => one.closest("section")?.getAttribute("aria-labelledby");
  return [...region.querySelectorAll(element.tagName)].find((one) =>
    about(one) === about(element) && section(one) === section(element));
}

function replace(fresh) {
  const focused = document.activeElement;
  const isHere = region.contains(focused);
  const places = [...region.querySelectorAll(".scroller")].map((one) => one.scrollLeft);
  region.replaceChildren(...fresh.childNodes);
  region.querySelectorAll(".scroller").forEach((one, number) => {
    one.scrollLeft = places[number] || 0;
  });
  const same = isHere && alike(focused);
  if (same) {
    if (focused.hasAttribute("tabindex")) same.setAttribute("tabindex", "0");
    same.focus({ preventScroll: true });
  }
}

async function refresh() {
  if (isStopped || document.hidden) return;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    const text = await response.text();
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (!response.ok || !fresh) throw new Error(response.statusText);
    if (!isStopped && !isInUse()) replace(fresh);
    say("");
  } catch {
    say("Not to be reached; trying again");
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  if (!isStopped && !document.hidden) {
    timer = setTimeout(refresh, Number(region.dataset.seconds) * 1000);
  }
}

function show() {
  button.textContent = isStopped ? "Refresh again" : "Stop refreshing";
  if (isStopped) say("");
}

button.addEventListener("click", () => {
  isStopped = !isStopped;
  sessionStorage.setItem(KEY, isStopped ? "off" : "on");
  show();
  clearTimeout(timer);
  refresh();
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  refresh();
});

line.hidden = false;
show();
plan();
