// Keys, and moving about without loading a page anew. Every page is whole without this file.
"use strict";

(() => {
  const one = (query, within = document) => within.querySelector(query);
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const rows = () => all("#content tbody tr").filter((row) => one("th a, td a", row));
  // Rows are walked with one of them in the order of Tab, the others beside it.
  let current = null;
  const focus = (row) => {
    if (!row) return;
    current?.removeAttribute("tabindex");
    current = row;
    row.tabIndex = 0;
    row.focus();
    row.scrollIntoView({ block: "nearest" });
  };
  const walk = (step) => {
    const every = rows();
    if (!every.length) return false;
    const at = every.indexOf(document.activeElement.closest("tbody tr") ?? current);
    if (at < 0) {
      focus(one("#content tbody tr.current") ?? every[step < 0 ? every.length - 1 : 0]);
    } else focus(every[Math.min(Math.max(at + step, 0), every.length - 1)]);
    return true;
  };

  // A row of the tree opens and a table is sorted in place: the page is fetched, and its panel
  // takes the other's. The head that was used is used again.
  const show = async (url, isNew) => {
    const response = await fetch(url, { headers: { Accept: "text/html" } });
    if (!response.ok) return location.assign(url);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const [old, panel] = [one("#panel"), one("#panel", page)];
    if (!old || !panel) return location.assign(url);
    const sideways = one(".scroller", old)?.scrollLeft ?? 0;
    const head = all("thead a", old).indexOf(document.activeElement);
    old.replaceWith(document.adoptNode(panel));
    const scroller = one(".scroller", panel);
    if (scroller) scroller.scrollLeft = sideways;
    if (isNew) history.pushState({ soft: true }, "", url);
    const id = new URL(url, location.href).hash.slice(1);
    if (id) focus(document.getElementById(id));
    else all("thead a", panel)[head]?.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-soft]");
    const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.button);
    if (!link || !isPlain) return;
    event.preventDefault();
    history.replaceState({ soft: true }, "");
    show(link.href, true).catch(() => location.assign(link.href));
  });
  window.addEventListener("popstate", (event) => {
    if (event.state?.soft) show(location.href, false).catch(() => location.reload());
  });

  const fold = (isOpen) => {
    const row = document.activeElement.closest("tr[aria-level]");
    if (!row) return false;
    if (row.getAttribute("aria-expanded") === String(!isOpen)) {
      one("a.fold", row).click();
      return true;
    }
    const level = Number(row.getAttribute("aria-level"));
    if (isOpen) {
      if (row.getAttribute("aria-expanded") === "true") walk(1);
      return true;
    }
    let above = row.previousElementSibling;
    while (above && Number(above.getAttribute("aria-level")) >= level) {
      above = above.previousElementSibling;
    }
    focus(above);
    return true;
  };

  const help = () => {
    const dialog = one("dialog.keys");
    if (dialog.open) dialog.close();
    else dialog.showModal();
  };

  // Of the captures in a histogram one is in the order of Tab, the others beside it.
  const mark = (step) => {
    const link = document.activeElement.closest("svg a");
    if (!link) return false;
    const every = all("a", link.closest("svg"));
    const next = every[every.indexOf(link) + step] ?? link;
    link.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
    return true;
  };

  const follow = (link) => {
    if (!link) return false;
    link.click();
    return true;
  };
  // The view that is shown is gone into.
  const view = (link) => {
    if (!link?.matches("[aria-current]")) return follow(link);
    const canvas = one("canvas.flame");
    if (canvas) canvas.focus();
    else walk(0);
    return true;
  };
  const search = () => {
    const field = one("#content input[type=search]");
    field?.focus();
    field?.select();
    return Boolean(field);
  };
  const source = () => {
    const row = document.activeElement.closest("tbody tr");
    const link = row && one("a[href*='fn=']", row);
    if (!link) return false;
    const to = new URL(link.href);
    to.searchParams.set("view", "source");
    location.assign(to.href);
    return true;
  };
  const open = () => {
    const row = document.activeElement;
    return row.matches("tbody tr") && follow(one("th a:not(.fold)", row) ?? one("a", row));
  };

  const DO = {
    "?": () => (help(), true),
    "/": search,
    j: () => walk(1),
    k: () => walk(-1),
    ArrowDown: () => walk(1),
    ArrowUp: () => walk(-1),
    ArrowRight: () => mark(1) || fold(true),
    ArrowLeft: () => mark(-1) || fold(false),
    Home: () => current === document.activeElement && (focus(rows()[0]), true),
    End: () => current === document.activeElement && (focus(rows().at(-1)), true),
    Enter: open,
    s: source,
    o: () => follow(one("a.switch")),
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, target } = event;
    if (key === "Escape") {
      for (const menu of all("details.menu[open]")) {
        menu.open = false;
        event.preventDefault();
      }
      if (target.matches("input, select")) target.blur();
      return;
    }
    if (target.closest("input, textarea") || (target.closest("select, dialog") && key !== "?")) {
      return;
    }
    // The flame view has keys of its own, and beside it arrows scroll.
    const isElsewhere = one("canvas.flame") && !target.closest("tbody tr");
    if (isElsewhere && !/^[?/1-9jk]$/.test(key)) return;
    if (/^[1-9]$/.test(key) ? view(all(".tabs a")[key - 1]) : DO[key]?.()) {
      event.preventDefault();
    }
  });

  document.addEventListener("click", (event) => {
    for (const menu of all("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // What is selected is in sight, however long the rows before it are.
  one("tr.current")?.scrollIntoView({ block: "nearest" });

  // Times are printed in UTC; pointing at one tells it in the reader's own time zone. Not before:
  // the first of such texts takes the browser longer than all else that is done here.
  document.addEventListener("pointerover", ({ target }) => {
    const time = target.closest("time[datetime]:not([title])");
    if (time) {
      time.title = new Date(time.dateTime).toLocaleString(undefined, { timeZoneName: "short" });
    }
  });
})();
