// The flame view: draws a FlameTree on its canvas, and is zoomed, searched and walked through.
// Everything that can be set is in the page's address; the markup is templates/_flame.html.
"use strict";

(() => {
  const ROW = 20;
  const LEAST = 1; // pixels; what is narrower is drawn together with its neighbours
  const LABELLED = 26; // pixels of a box that is worth a label
  const KINDS = ["application", "framework", "library", "standard library", "builtin"];
  const FILES = 6; // colours that stand for files
  const EVERY = ["zoom", "range", "search", "shape", "colour", "app", "fn", "off"];
  const isFile = !location.protocol.startsWith("http");

  class FlameView {
    constructor(canvas) {
      this.canvas = canvas;
      this.context = canvas.getContext("2d");
      this.root = canvas.closest(".flame-view");
      this.parts = {};
      for (const name of ["tools", "found", "path", "message", "scroll", "space", "box",
        "legend", "said", "tip"]) this.parts[name] = this.root.querySelector(`.flame-${name}`);
      this.field = this.root.querySelector("input[name=search]");
      this.tree = null;
      this.trees = new Map(); // by whether they are of the application only
      this.state = {};
      this.view = { left: 0, right: 1 }; // nanoseconds at the edges of the canvas
      this.focus = 0;
      this.hover = -1;
      this.found = null;
      this.listen();
      this.restore();
    }

    // --- What is shown: from the address, and back to it.

    query() {
      return new URLSearchParams(isFile ? location.hash.slice(1) : location.search);
    }

    async restore() {
      const query = this.query();
      const state = (this.state = {});
      for (const name of EVERY) state[name] = query.get(name) || "";
      this.field.value = state.search;
      await this.load();
      if (!this.tree || this.state !== state) return;
      const { tree } = this;
      const zoomed = tree.resolve(state.zoom);
      const [left, right] = state.range.split("-").map(Number);
      this.zoomed = zoomed;
      this.view = right > left && left >= 0 && right <= tree.whole
        ? { left, right } : this.extent(zoomed);
      this.search();
      const selected = state.fn ? tree.widest(state.fn) : -1;
      this.focus = selected > 0 && !this.isWithin(zoomed, selected) ? selected : zoomed;
      this.arrange();
      this.reveal(this.focus);
    }

    // Whether `node` is neither below `above` nor that itself.
    isWithin(above, node) {
      return node < above || node >= this.tree.end[above];
    }

    // Set part of the state; `isNew` makes a step that the back button undoes.
    put(changes, isNew = false) {
      Object.assign(this.state, changes);
      const query = this.query();
      for (const name of EVERY) {
        if (this.state[name]) query.set(name, this.state[name]);
        else query.delete(name);
      }
      const text = query.toString();
      const url = isFile ? `#${text}` : location.pathname + (text && `?${text}`);
      if (url === (isFile ? location.hash || "#" : location.pathname + location.search)) return;
      try {
        history[isNew ? "pushState" : "replaceState"](null, "", url);
      } catch {
        return; // browsers refuse when it is done too often, and for some files
      }
      document.dispatchEvent(new CustomEvent("flaskprof:state", { detail: { ...this.state } }));
    }

    async load() {
      const isApp = this.state.app === "1";
      if (!this.trees.has(isApp)) {
        this.say("Loading…");
        try {
          this.trees.set(isApp, new FlameTree(await this.fetched(isApp)));
        } catch (error) {
          this.say(`The profile could not be loaded: ${error.message}`);
          return;
        }
      }
      if (isApp !== (this.state.app === "1")) return;
      if (this.tree !== this.trees.get(isApp)) {
        this.tree = this.trees.get(isApp);
        this.focus = 0;
        this.hover = -1;
      }
      this.say(this.tree.whole ? "" : "No time was recorded.");
      for (const part of ["tools", "legend", "box"]) this.parts[part].hidden = !this.tree.whole;
      this.parts.scroll.hidden = !this.tree.whole;
    }

    async fetched(isApp) {
      const { source } = this.canvas.dataset;
      if (source.startsWith("#"))
        return JSON.parse(document.querySelector(source + (isApp ? "-app" : "")).textContent);
      const url = new URL(source, location.href);
      if (isApp) url.searchParams.set("app", "1");
      const response = await fetch(url, { headers: { Accept: "application/json" } });
      const data = await response.json();
      if (!response.ok) throw new Error(data.detail || data.title || response.statusText);
      return data;
    }

    say(text) {
      this.parts.message.textContent = text;
    }

    search() {
      const { found } = this.parts;
      this.found = null;
      found.hidden = !this.state.search;
      let expression;
      this.field.removeAttribute("aria-invalid");
      if (this.state.search) {
        try {
          expression = new RegExp(this.state.search, "iu");
        } catch {
          // Whoever has not ended a bracket yet, or means it as it is, looks for the text.
          expression = new RegExp(this.state.search.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu");
          this.field.setAttribute("aria-invalid", "true");
        }
        this.found = this.tree.search(expression);
        const { boxes, functions, time } = this.found;
        found.querySelector("output").textContent = boxes
          ? `${percent(time, this.tree.whole)} · ${this.time(time)} in ${many(boxes, "box", "es")} of ` +
            many(functions, "function")
          : "nothing found";
        found.dataset.time = time;
        for (const button of found.querySelectorAll("button")) button.hidden = !boxes;
      }
      this.draw();
    }

    // --- Where things lie.

    extent(node) {
      const { start, total, whole } = this.tree;
      const left = start[node];
      return { left, right: left + (total[node] || whole || 1) };
    }

    get width() {
      return this.parts.space.clientWidth;
    }

    get isFlipped() {
      return this.state.shape === "flame";
    }

    top(depth) {
      return (this.isFlipped ? this.tree.depths - 1 - depth : depth) * ROW;
    }

    x(time) {
      return ((time - this.view.left) / (this.view.right - this.view.left)) * this.width;
    }

    timeAt(x) {
      return this.view.left + (x / this.width) * (this.view.right - this.view.left);
    }

    nodeAt(event) {
      const box = this.canvas.getBoundingClientRect();
      const row = Math.floor((event.clientY - box.top + this.parts.scroll.scrollTop) / ROW);
      const depth = this.isFlipped ? this.tree.depths - 1 - row : row;
      return this.tree.at(depth, this.timeAt(event.clientX - box.left));
    }

    // --- Moving.

    // Show the time from `left` to `right`, as a whole or at once.
    show(left, right, { isSmooth = false, isNew = false, zoomed = null } = {}) {
      const { whole } = this.tree;
      const width = Math.min(whole, Math.max(right - left, Math.min(whole, 100)));
      left = Math.min(Math.max(0, left), whole - width);
      const target = { left, right: left + width };
      this.zoomed = zoomed ?? this.innermost(target);
      const own = this.extent(this.zoomed);
      const isWhole = own.left === target.left && own.right === target.right;
      this.put({
        zoom: this.tree.address(this.zoomed),
        range: isWhole ? "" : `${Math.floor(target.left)}-${Math.ceil(target.right)}`,
      }, isNew);
      this.from = isSmooth && !this.isStill ? { ...this.view, since: performance.now() } : null;
      this.target = target;
      if (!this.from) this.view = target;
      this.crumbs();
      this.draw();
    }

    // The deepest node that holds all of a range.
    innermost({ left, right }) {
      const { tree } = this;
      let node = 0;
      for (let d = 1; d < tree.depths; d++) {
        const next = tree.at(d, left);
        if (next < 0 || tree.start[next] + tree.total[next] < right) break;
        node = next;
      }
      return node;
    }

    get isStill() {
      return matchMedia("(prefers-reduced-motion: reduce)").matches;
    }

    zoom(node) {
      const { left, right } = this.extent(node);
      this.show(left, right, { isSmooth: true, isNew: true, zoomed: node });
      this.reveal(node);
    }

    scale(factor, time) {
      const { left, right } = this.target && this.from ? this.target : this.view;
      this.show(time - (time - left) * factor, time + (right - time) * factor);
    }

    scaleAtFocus(factor) {
      const { left, right } = this.view;
      const { start, total } = this.tree;
      const middle = start[this.focus] + total[this.focus] / 2;
      this.scale(factor, middle > left && middle < right ? middle : (left + right) / 2);
    }

    pan(pixels) {
      const { left, right } = this.view;
      const time = (pixels / this.width) * (right - left);
      this.show(left + time, right + time);
    }

    // Scroll so that the row of a node is seen, with some of its callers.
    reveal(node) {
      const { scroll } = this.parts;
      const top = this.top(this.tree.depth[node]);
      const above = this.isFlipped ? 6 * ROW : 3 * ROW;
      const below = this.isFlipped ? 4 * ROW : 7 * ROW;
      if (top - above < scroll.scrollTop) scroll.scrollTop = top - above;
      else if (top + below > scroll.scrollTop + scroll.clientHeight)
        scroll.scrollTop = top + below - scroll.clientHeight;
      this.draw();
    }

    // Make a node the one that the keyboard is at; zoom out as far as it needs to be seen.
    walk(node) {
      if (node < 0) return;
      const { start, total } = this.tree;
      this.focus = node;
      const { left, right } = this.view;
      const end = start[node] + total[node];
      if (end <= left || start[node] >= right) {
        let above = node;
        while (above > 0 && (total[above] < right - left)) above = this.tree.parent[above];
        const wide = this.extent(above);
        this.show(wide.left, wide.right, { isSmooth: true, zoomed: above });
      }
      this.reveal(node);
      this.announce();
    }

    // Choose the function of a node, in every view of the profile.
    select(node) {
      this.focus = node;
      const key = node && !(this.tree.folded && this.tree.folded[node]) ? this.tree.key(node) : "";
      if (key !== this.state.fn) {
        this.put({ fn: key });
        document.dispatchEvent(new CustomEvent("flaskprof:select", { detail: { key } }));
      }
      this.announce();
    }

    // Go to the next match in the order of reading, wide enough to be seen.
    match(step) {
      const { found, tree } = this;
      if (!found || !found.boxes) return;
      let node = this.focus;
      do node = (node + step + tree.count) % tree.count; while (!found.isFound[node]);
      const { left, right } = this.view;
      if (tree.total[node] / (right - left) * this.width < 4) {
        let above = node;
        while (above > 0 && tree.total[above] < tree.total[node] * 8) above = tree.parent[above];
        const wide = this.extent(above);
        this.show(wide.left, wide.right, { isSmooth: true, zoomed: above });
      }
      this.walk(node);
    }

    // --- Drawing.

    draw() {
      if (this.frame || !this.tree) return;
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.step();
        this.paint();
        if (this.from) this.draw();
      });
    }

    step() {
      if (!this.from) return;
      const part = Math.min(1, (performance.now() - this.from.since) / 160);
      const eased = 1 - (1 - part) ** 3;
      const { from, target } = this;
      this.view = {
        left: from.left + (target.left - from.left) * eased,
        right: from.right + (target.right - from.right) * eased,
      };
      if (part === 1) {
        this.view = target;
        this.from = null;
      }
    }

    // Fit the canvas to its frame, and the frame to the tree; read the colours.
    arrange() {
      if (!this.tree || !this.tree.whole) return;
      const { scroll, space } = this.parts;
      space.style.height = `${this.tree.depths * ROW}px`;
      const height = scroll.clientHeight;
      const { width } = this;
      const ratio = (this.ratio = window.devicePixelRatio || 1);
      this.canvas.style.height = `${height}px`;
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.height = height;
      this.legend();
      this.crumbs();
      this.control();
      this.readColours();
      this.step();
      this.paint();
    }

    readColours() {
      const style = getComputedStyle(this.canvas);
      const value = (name) => style.getPropertyValue(`--flame-${name}`).trim();
      this.font = `${style.fontSize} ${style.fontFamily}`;
      this.widths = new Map();
      this.colours = {
        page: value("page"), text: value("text"), muted: value("muted"), tiny: value("tiny"),
        mark: value("mark"), faint: Number(value("faint")), stroke: value("stroke"),
        same: value("same"), slower: value("slower"), faster: value("faster"),
        added: value("added"), gone: value("gone"),
        kinds: Object.fromEntries(KINDS.map((kind) => [kind, value(slug(kind))])),
        files: Array.from({ length: FILES }, (_, at) => value(`file-${at}`)),
      };
      this.ramp = [];
      const { functions } = this.tree;
      this.fills = functions.kind.map((kind, at) => this.state.colour === "file"
        ? this.colours.files[hash(functions.file[at]) % FILES] : this.colours.kinds[kind]);
      const off = new Set(this.state.off.split(","));
      this.isOff = functions.kind.map((kind) => off.has(slug(kind)));
      this.hatch = this.pattern(value("hatch"), (area) => {
        for (const from of [-8, 0, 8]) {
          area.moveTo(from - 1, 9);
          area.lineTo(from + 9, -1);
        }
      });
      this.dots = this.pattern(value("hatch"), (area) => {
        area.rect(1.5, 1.5, 1, 1);
        area.rect(5.5, 5.5, 1, 1);
      });
    }

    pattern(colour, trace) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = Math.round(8 * this.ratio);
      const area = tile.getContext("2d");
      area.scale(tile.width / 8, tile.height / 8);
      area.strokeStyle = colour;
      area.lineWidth = 1.25;
      area.beginPath();
      trace(area);
      area.stroke();
      const pattern = this.context.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix().scale(8 / tile.width, 8 / tile.height));
      return pattern;
    }

    paint() {
      const { tree, context, width, height, colours } = this;
      const begun = performance.now();
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      context.globalAlpha = 1;
      context.fillStyle = colours.page;
      context.fillRect(0, 0, width, height);
      context.font = this.font;
      context.textBaseline = "middle";
      context.direction = "ltr";
      const scrolled = this.parts.scroll.scrollTop;
      for (let row = Math.floor(scrolled / ROW); row * ROW < scrolled + height; row++) {
        const depth = this.isFlipped ? tree.depths - 1 - row : row;
        if (depth >= 0 && depth < tree.depths) this.paintRow(depth, row * ROW - scrolled);
      }
      this.outlines(scrolled);
      this.details();
      const spent = performance.now() - begun;
      if (!("drawn" in this.canvas.dataset)) this.canvas.dataset.drawn = performance.now();
      this.canvas.dataset.painted = spent.toFixed(2);
    }

    paintRow(depth, y) {
      const { tree, width } = this;
      const { rows, rowStart, start, total } = tree;
      const { left, right } = this.view;
      const scale = width / (right - left);
      const last = rowStart[depth + 1];
      let begin = -1;
      let end = -1;
      let isFound = false;
      let place = tree.placeAfter(depth, left);
      while (place < last) {
        const node = rows[place];
        const x = (start[node] - left) * scale;
        if (x >= width) break;
        if (total[node] * scale >= LEAST) {
          this.paintBox(node, x, total[node] * scale, y);
          place++;
          continue;
        }
        // Whatever ends within this pixel is one sliver.
        const from = Math.floor(x);
        const next = tree.placeAfter(depth, left + (from + 1) / scale, place + 1);
        const hasMatch = this.found !== null && this.found.before[next] > this.found.before[place];
        if (from > end || hasMatch !== isFound) {
          this.paintSlivers(begin, end, y, isFound);
          begin = from;
          isFound = hasMatch;
        }
        end = from + 1;
        place = next;
      }
      this.paintSlivers(begin, end, y, isFound);
    }

    paintSlivers(begin, end, y, isFound) {
      if (begin === end) return;
      const { context, colours } = this;
      context.globalAlpha = this.found && !isFound ? colours.faint : 1;
      context.fillStyle = isFound ? colours.mark : colours.tiny;
      context.fillRect(begin, y, end - begin, ROW - 1);
    }

    paintBox(node, x, boxWidth, y) {
      const { tree, context, colours, width } = this;
      const number = tree.function[node];
      const isRest = tree.folded !== null && tree.folded[node] !== 0;
      const isMatch = this.found !== null && this.found.isFound[node] === 1;
      const isFaint = this.found !== null ? !isMatch : this.isOff[number];
      // Of what lies partly outside only what is seen is drawn.
      const from = Math.max(x, 0);
      const to = Math.min(x + boxWidth, width);
      const gap = boxWidth >= 3 ? 1 : boxWidth >= 2 ? 0.5 : 0;
      const drawn = to - from - (x + boxWidth <= width ? gap : 0);
      context.globalAlpha = isFaint ? colours.faint : 1;
      context.fillStyle = !node || isRest ? colours.tiny
        : tree.isDifference ? this.differenceColour(node) : this.fills[number];
      context.fillRect(from, y, drawn, ROW - 1);
      if (boxWidth > 4 && (isRest || !tree.isExact(node)) && (node || tree.truth === "sampled")) {
        context.fillStyle = tree.truth === "sampled" && !tree.low ? this.dots : this.hatch;
        context.fillRect(from, y, drawn, ROW - 1);
      }
      if (tree.isDifference && node && !isRest && boxWidth > 3) this.edge(node, from, drawn, y);
      if (drawn >= LABELLED) this.label(node, from + 5, drawn - 9, y, isMatch);
    }

    differenceColour(node) {
      const { before, after } = this.tree;
      const most = Math.max(before[node], after[node]);
      const change = most ? (after[node] - before[node]) / most : 0;
      const steps = Math.round(Math.sqrt(Math.abs(change)) * 8);
      if (!steps) return this.colours.same;
      const colour = change > 0 ? this.colours.slower : this.colours.faster;
      return (this.ramp[change > 0 ? steps : -steps] ??= mixed(this.colours.same, colour, steps / 8));
    }

    edge(node, x, drawn, y) {
      const { before, after } = this.tree;
      if (before[node] && after[node]) return;
      this.context.fillStyle = before[node] ? this.colours.gone : this.colours.added;
      const size = Math.min(4, drawn);
      this.context.fillRect(before[node] ? x + drawn - size : x, y, size, ROW - 1);
    }

    label(node, x, room, y, isMatch) {
      const { tree, context, colours } = this;
      const name = this.name(node);
      const text = this.clipped(tree.recursive && tree.recursive[node] ? `↻ ${name}` : name, room);
      if (!text) return;
      context.fillStyle = colours.text;
      context.globalAlpha = this.found && !isMatch ? 0.6 : 1;
      context.fillText(text, x, y + ROW / 2);
      const left = room - this.widthOf(text);
      if (left < 110 || text.endsWith("…")) return;
      const figure = percent(tree.total[node], tree.whole);
      context.fillStyle = colours.muted;
      context.fillText(figure, x + room - this.widthOf(figure), y + ROW / 2);
    }

    name(node) {
      if (!node) return "all";
      const folded = this.tree.folded ? this.tree.folded[node] : 0;
      if (folded) return folded > 0 ? many(folded, "smaller call") : "calls that are not shown";
      return this.tree.names[this.tree.function[node]] || "(no name)";
    }

    widthOf(text) {
      let sum = 0;
      for (const character of text) {
        let width = this.widths.get(character);
        if (width === undefined) {
          width = this.context.measureText(character).width;
          this.widths.set(character, width);
        }
        sum += width;
      }
      return sum;
    }

    // As much of a text as has room, with an ellipsis where that is not all.
    clipped(text, room) {
      const dots = this.widthOf("…");
      let sum = 0;
      let kept = "";
      for (const character of text) {
        const width = this.widthOf(character);
        if (sum + width > room) {
          while (kept && sum + dots > room) {
            sum -= this.widthOf(kept.slice(-1));
            kept = kept.slice(0, -1);
          }
          return kept.length > 1 ? `${kept}…` : "";
        }
        sum += width;
        kept += character;
      }
      return kept;
    }

    // Frames around matches, the chosen function, what is pointed at and the keyboard's box.
    outlines(scrolled) {
      const { tree, context, colours } = this;
      context.globalAlpha = 1;
      const frame = (node, colour, line) => {
        const y = this.top(tree.depth[node]) - scrolled;
        if (y < -ROW || y > this.height) return;
        const x = Math.max(0, this.x(tree.start[node]));
        const right = Math.min(this.width, this.x(tree.start[node] + tree.total[node]));
        if (right < 0 || x > this.width) return;
        context.strokeStyle = colour;
        context.lineWidth = line;
        context.strokeRect(x + line / 2, y + line / 2, Math.max(1, right - x - line - 1), ROW - 1 - line);
      };
      if (this.state.fn) {
        const number = tree.functions.key.indexOf(this.state.fn);
        for (let node = 0, shown = 0; number >= 0 && node < tree.count && shown < 2000; node++) {
          if (tree.function[node] !== number) continue;
          const wide = this.x(tree.start[node] + tree.total[node]) - this.x(tree.start[node]);
          if (wide < 2) continue;
          frame(node, colours.mark, 2);
          shown++;
        }
      }
      if (this.hover >= 0) frame(this.hover, colours.stroke, 1);
      if (document.activeElement === this.canvas) frame(this.focus, colours.stroke, 2);
    }

    // --- What is said of a box.

    time(ns) {
      return (this.tree.truth === "sampled" ? "≈\u202f" : "") + duration(ns);
    }

    // Lines of a name and what it says, for one box.
    figures(node) {
      const { tree } = this;
      const { total, self } = tree;
      const isExact = tree.isExact(node) && !(tree.folded && tree.folded[node]);
      const about = isExact ? "" : "≈\u202f";
      const own = tree.truth === "exact" ? "" : "≈\u202f";
      const lines = [];
      if (tree.isDifference) {
        const signed = (change) => (change > 0 ? "+" : change < 0 ? "−" : "±") + duration(Math.abs(change));
        const row = (name, before, after) => lines.push([name,
          `${about}${duration(before)} → ${about}${duration(after)}`,
          signed(after - before), `${grouped(before)} ns → ${grouped(after)} ns`]);
        row("Total", tree.before[node], tree.after[node]);
        row("Self", tree.self_before[node], tree.self_after[node]);
      } else {
        let bounds = "";
        if (!isExact && tree.low && node && tree.truth !== "sampled") {
          const unit = scaleOf(total[node]);
          const low = duration(tree.low[node], unit).split("\u202f")[0];
          bounds = ` (${low}–${duration(tree.high[node], unit)})`;
        }
        lines.push(["Total", about + duration(total[node]) + bounds, percent(total[node], tree.whole),
          `${grouped(total[node])} ns`]);
        lines.push([this.state.app === "1" ? "Self, with other code" : "Self",
          own + duration(self[node]), percent(self[node], tree.whole), `${grouped(self[node])} ns`]);
      }
      if (node && tree.calls[node])
        lines.push([tree.truth === "sampled" ? "Samples" : "Calls", own + grouped(tree.calls[node]), "", ""]);
      const above = tree.parent[node];
      if (above > 0 && !tree.isDifference)
        lines.push(["Of its caller", percent(total[node], total[above]), "", ""]);
      return lines;
    }

    // What kind of truth the figures of a box are.
    truth(node) {
      const { tree } = this;
      const isRecursive = tree.recursive !== null && tree.recursive[node] === 1;
      if (tree.folded && tree.folded[node]) return "folded together: too short or too many to be drawn";
      if (tree.truth === "sampled") return "sampled: times are estimates";
      if (tree.isExact(node)) {
        if (tree.truth !== "exact") return "total exact, its parts estimated";
        return isRecursive ? "exact; a call within another of the same function" : "exact";
      }
      if (isRecursive) return "estimated; it calls itself, so that there is no lower bound";
      return tree.low ? "estimated, within these bounds" : "estimated";
    }

    place(node) {
      const { file, line } = this.tree.functions;
      const number = this.tree.function[node];
      if (!node || !file[number] || file[number] === "~") return "";
      return visible(file[number]) + (line[number] > 0 ? `:${line[number]}` : "");
    }

    // The panel below the canvas tells of the box that was clicked or walked to.
    details() {
      const { tree, focus } = this;
      const shown = `${focus} ${this.state.app} ${tree.count}`;
      if (this.detailed === shown) return;
      this.detailed = shown;
      const { box } = this.parts;
      const heading = element("p", "flame-name");
      const kind = tree.functions.kind[tree.function[focus]];
      const isNamed = focus > 0 && !(tree.folded && tree.folded[focus]);
      if (isNamed) heading.append(element("span", `kind ${slug(kind)}`, kind));
      const name = element("bdi", "code", this.name(focus));
      const page = this.canvas.dataset.functionUrl;
      if (isNamed && page) {
        const link = element("a", "");
        link.href = page.replace("KEY", tree.key(focus));
        link.append(name);
        heading.append(link);
      } else heading.append(name);
      if (this.place(focus)) heading.append(element("bdi", "flame-place", this.place(focus)));
      const list = element("dl", "");
      for (const [term, figure, share, exact] of this.figures(focus)) {
        const item = element("div", "");
        const value = element("dd", "", figure);
        if (share) value.append(element("span", "share", ` ${share}`));
        if (exact) value.append(element("small", "", exact));
        item.append(element("dt", "", term), value);
        list.append(item);
      }
      box.replaceChildren(heading, list, element("p", "flame-truth", this.truth(focus)));
      const exactness = tree.isExact(focus) && !(tree.folded && tree.folded[focus]) ? "exact" : tree.truth;
      Object.assign(box.dataset, {
        truth: exactness, node: focus, name: tree.functions.name[tree.function[focus]].slice(0, 200),
        total: tree.total[focus], self: tree.self[focus],
      });
    }

    announce() {
      const said = this.figures(this.focus)
        .map(([term, figure, share]) => `${term} ${figure}${share && `, ${share}`}`).join("; ");
      const words = `${this.name(this.focus)}. ${said}. ${this.truth(this.focus)}.`;
      this.parts.said.textContent = words.replaceAll("≈", "about ");
      this.draw();
    }

    point(node, event) {
      const { tip } = this.parts;
      if (node !== this.hover) {
        this.hover = node;
        this.canvas.classList.toggle("is-pointing", node >= 0);
        this.draw();
        if (node >= 0) {
          const figures = this.figures(node).map(([term, figure, share, exact]) => {
            const line = element("p", "");
            line.append(element("span", "", term), element("b", "", figure), element("span", "share", share));
            if (exact) line.append(element("small", "", exact));
            return line;
          });
          tip.replaceChildren(element("bdi", "code", this.name(node)),
            element("bdi", "flame-place", this.place(node)), ...figures,
            element("p", "flame-truth", this.truth(node)));
        }
        tip.hidden = node < 0;
      }
      if (node < 0) return;
      const { clientWidth, clientHeight } = document.documentElement;
      const { offsetWidth, offsetHeight } = tip;
      const x = Math.min(event.clientX + 14, clientWidth - offsetWidth - 8);
      const y = event.clientY + 18 + offsetHeight > clientHeight
        ? event.clientY - offsetHeight - 10 : event.clientY + 18;
      tip.style.transform = `translate(${Math.max(4, x)}px, ${Math.max(4, y)}px)`;
    }

    // --- The parts around the canvas.

    crumbs() {
      const { path } = this.parts;
      const stack = [0, ...this.tree.stack(this.zoomed)];
      if (this.crumbed === stack.join() && !path.hidden) return;
      this.crumbed = stack.join();
      path.hidden = stack.length === 1;
      path.firstElementChild.replaceChildren(...stack.map((node, at) => {
        const item = element("li", "");
        const button = element("button", "", this.name(node));
        button.type = "button";
        button.title = `${this.name(node)}: ${percent(this.tree.total[node], this.tree.whole)}`;
        if (at === stack.length - 1) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => this.zoom(node));
        item.append(button);
        return item;
      }));
      path.scrollLeft = path.scrollWidth;
    }

    legend() {
      const { tree } = this;
      const { legend } = this.parts;
      const made = `${this.state.colour} ${this.state.off} ${this.state.app} ${tree.count}`;
      if (this.legended === made) return;
      this.legended = made;
      const parts = [];
      const sample = (kind, text) => {
        const item = element("span", "flame-sample");
        item.append(element("i", kind), text);
        parts.push(item);
      };
      if (tree.isDifference) {
        sample("faster", "less time after");
        sample("same", "the same");
        sample("slower", "more time after");
        sample("gone", "only before");
        sample("added", "only after");
      } else if (this.state.colour === "file") {
        sample("file", "one colour a file; some share one");
      } else {
        const off = new Set(this.state.off.split(","));
        const times = new Map();
        for (let node = 1; node < tree.count; node++) {
          const kind = tree.functions.kind[tree.function[node]];
          if (!tree.folded || !tree.folded[node]) times.set(kind, (times.get(kind) || 0) + tree.self[node]);
        }
        for (const kind of KINDS.filter((kind) => times.has(kind))) {
          const button = element("button", "flame-kind");
          button.type = "button";
          button.title = `${this.time(times.get(kind))} of self time; press to dim or show`;
          button.setAttribute("aria-pressed", String(!off.has(slug(kind))));
          button.append(element("i", slug(kind)), kind,
            element("span", "share", percent(times.get(kind), tree.whole)));
          button.addEventListener("click", () => {
            if (!off.delete(slug(kind))) off.add(slug(kind));
            this.put({ off: [...off].filter(Boolean).join() }, true);
            this.arrange();
          });
          parts.push(button);
        }
      }
      if (tree.truth === "sampled") sample("sampled", "sampled: times are estimates");
      else if (tree.truth === "estimated") {
        if (tree.low) sample("exact", "exact");
        sample("estimated", tree.low ? "estimated, with bounds" : "estimated");
      }
      if (tree.recursive) sample("recursive", "calls itself");
      legend.replaceChildren(...parts);
    }

    control() {
      const press = (name, isOn) => this.root.querySelector(`[data-do=${name}]`)
        .setAttribute("aria-pressed", String(isOn));
      press("app", this.state.app === "1");
      press("flip", this.isFlipped);
      const colour = this.root.querySelector("select[name=colour]");
      colour.value = this.state.colour === "file" ? "file" : "";
      colour.parentElement.hidden = this.tree.isDifference;
    }

    // --- What people do.

    do(what) {
      const actions = {
        next: () => this.match(1),
        previous: () => this.match(-1),
        in: () => this.scaleAtFocus(1 / 1.5),
        out: () => this.scaleAtFocus(1.5),
        reset: () => this.zoom(0),
        app: async () => {
          // The focus goes along as far as there is the same stack.
          const kept = this.tree.address(this.focus);
          this.put({ app: this.state.app === "1" ? "" : "1", range: "" }, true);
          const { state } = this;
          await this.load();
          if (state !== this.state || !this.tree) return;
          this.zoomed = this.tree.resolve(this.state.zoom);
          this.view = this.extent(this.zoomed);
          this.focus = this.tree.resolve(kept);
          this.search();
          this.arrange();
          this.reveal(this.focus);
        },
        flip: () => {
          this.put({ shape: this.isFlipped ? "" : "flame" }, true);
          this.arrange();
          this.parts.scroll.scrollTop = this.isFlipped ? this.parts.scroll.scrollHeight : 0;
          this.reveal(this.focus);
        },
      };
      if (this.tree && this.tree.whole) actions[what]();
    }

    listen() {
      const { canvas, root, parts, field } = this;
      root.addEventListener("click", (event) => {
        const button = event.target.closest("[data-do]");
        if (button) this.do(button.dataset.do);
      });
      root.querySelector("select[name=colour]").addEventListener("change", (event) => {
        this.put({ colour: event.target.value }, true);
        this.arrange();
      });
      field.addEventListener("input", () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => {
          this.put({ search: field.value.trim() });
          if (this.tree) this.search();
        }, 120);
      });
      field.addEventListener("keydown", (event) => {
        if (event.key === "Enter") {
          event.preventDefault();
          this.match(event.shiftKey ? -1 : 1);
        } else if (event.key === "Escape") {
          field.value = "";
          field.dispatchEvent(new Event("input"));
          canvas.focus();
        }
      });
      window.addEventListener("popstate", () => this.restore());
      if (isFile) window.addEventListener("hashchange", () => this.restore());
      document.addEventListener("flaskprof:select", (event) => {
        const { key } = event.detail;
        if (!this.tree || key === this.state.fn) return;
        this.state.fn = key;
        const node = key ? this.tree.widest(key) : -1;
        if (node > 0) this.walk(node);
        else this.draw();
      });
      document.addEventListener("keydown", (event) => this.key(event));
      canvas.addEventListener("focus", () => this.draw());
      canvas.addEventListener("blur", () => this.draw());
      parts.scroll.addEventListener("scroll", () => this.tree && this.paint());
      new ResizeObserver(() => this.arrange()).observe(parts.scroll);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.arrange());
      canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      canvas.addEventListener("pointerleave", (event) => this.point(-1, event));
      for (const name of ["down", "move", "up", "cancel"])
        canvas.addEventListener(`pointer${name}`, (event) => this.tree && this.pointer(name, event));
      this.pointers = new Map();
    }

    wheel(event) {
      if (!this.tree) return;
      const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
      const across = (event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX) * unit;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        const x = event.clientX - this.canvas.getBoundingClientRect().left;
        const most = Math.max(-60, Math.min(60, event.deltaY * unit));
        this.scale(Math.exp(most * 0.01), this.timeAt(x));
      } else if (Math.abs(across) > Math.abs(event.deltaY * unit) || event.shiftKey) {
        event.preventDefault();
        this.pan(across);
      }
      // Up and down the frame scrolls by itself.
      this.point(this.nodeAt(event), event);
    }

    pointer(name, event) {
      const { pointers, canvas } = this;
      const at = { x: event.clientX, y: event.clientY };
      if (name === "down" && event.button === 0) {
        canvas.setPointerCapture(event.pointerId);
        pointers.set(event.pointerId, at);
        this.hasMoved = pointers.size > 1;
      } else if (name === "move") {
        const was = pointers.get(event.pointerId);
        if (!was) {
          if (event.pointerType === "mouse") this.point(this.nodeAt(event), event);
          return;
        }
        const isFar = Math.hypot(at.x - was.x, at.y - was.y) > 4;
        if (!this.hasMoved && !isFar) return;
        this.hasMoved = true;
        this.point(-1, event);
        const other = [...pointers].find(([id]) => id !== event.pointerId);
        pointers.set(event.pointerId, at);
        if (other) {
          const gap = (one) => Math.max(20, Math.abs(one.x - other[1].x));
          const middle = (at.x + other[1].x) / 2 - canvas.getBoundingClientRect().left;
          this.scale(gap(was) / gap(at), this.timeAt(middle));
        } else {
          this.pan(was.x - at.x);
          if (event.pointerType === "mouse") this.parts.scroll.scrollTop += was.y - at.y;
        }
      } else if (pointers.delete(event.pointerId) && name === "up" && !this.hasMoved) {
        const node = this.nodeAt(event);
        if (node < 0) return;
        this.select(node);
        this.zoom(node);
      }
    }

    key(event) {
      const { tree, canvas, focus } = this;
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !tree) return;
      if (event.target.closest("input, select, textarea, dialog, [contenteditable]")) return;
      const isHere = event.target === canvas;
      const isButton = event.target.closest("button, a, summary");
      const [inner, outer] = this.isFlipped ? ["ArrowUp", "ArrowDown"] : ["ArrowDown", "ArrowUp"];
      const anywhere = {
        "/": () => this.field.focus(),
        n: () => this.do("next"), N: () => this.do("previous"),
        i: () => this.do("flip"), a: () => this.do("app"),
        "+": () => this.do("in"), "=": () => this.do("in"), "-": () => this.do("out"),
        Escape: () => this.do("reset"),
      };
      const onCanvas = {
        [inner]: () => this.walk(tree.child(focus)),
        [outer]: () => this.walk(tree.parent[focus]),
        ArrowLeft: () => this.walk(tree.beside(focus, -1)),
        ArrowRight: () => this.walk(tree.beside(focus, 1)),
        Home: () => this.walk(0),
        Enter: () => {
          this.select(focus);
          this.zoom(focus);
        },
      };
      const action = (isHere && onCanvas[event.key]) || (!(isButton && event.key === "Enter") && anywhere[event.key]);
      if (!action) return;
      event.preventDefault();
      action();
    }
  }

  function element(tag, name, text = "") {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text) made.textContent = text;
    return made;
  }

  function slug(kind) {
    return kind.split(" ")[0];
  }

  function many(number, what, plural = "s") {
    return `${grouped(number)} ${what}${number === 1 ? "" : plural}`;
  }

  function hash(text) {
    let sum = 0;
    for (let at = 0; at < text.length; at++) sum = (sum * 31 + text.charCodeAt(at)) >>> 0;
    return sum;
  }

  // Colours are #rrggbb.
  function mixed(one, other, part) {
    const channel = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
    const mix = (at) => Math.round(channel(one, at) * (1 - part) + channel(other, at) * part);
    return `rgb(${mix(1)}, ${mix(3)}, ${mix(5)})`;
  }

  for (const canvas of document.querySelectorAll("canvas.flame")) new FlameView(canvas);
})();
