// Niceties. Every page is whole without this file.
"use strict";

// "/" goes to the search field, as on many a site.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const field = document.querySelector("input[type=search]");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
});

// Times are printed in UTC; pointing at one tells it in the reader's own time zone.
for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = new Date(time.dateTime).toLocaleString(undefined, { timeZoneName: "short" });
}
