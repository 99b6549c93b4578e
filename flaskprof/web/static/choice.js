// Counts the captures that are chosen; buttons that need more of them wait. Every page is
// whole without this file.
"use strict";

const form = document.getElementById("chosen");
const boxes = [...document.querySelectorAll("input[form=chosen]:enabled")];
const all = document.createElement("input");

function count() {
  const chosen = boxes.filter((box) => box.checked).length;
  all.checked = chosen === boxes.length;
  for (const button of form.querySelectorAll("button[data-least]")) {
    const { least, most, text } = button.dataset;
    button.disabled = chosen < Number(least) || chosen > Number(most);
    button.textContent = chosen ? `${text} ${chosen} selected` : `${text} selected`;
  }
}

if (form && boxes.length) {
  all.type = "checkbox";
  all.setAttribute("aria-label", "Choose all on this page");
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  document.querySelector(".captures thead th").prepend(all, " ");
  document.addEventListener("change", count);
  // The browser puts back what was chosen when the page is returned to.
  addEventListener("pageshow", count);
}
