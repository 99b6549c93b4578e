// The flame view: draws a FlameTree on its canvas, and is zoomed, searched and walked through.
// What can be set is in the page's address. The markup is templates/_flame.html.

const ROW = 20; // pixels
const LEAST = 1; // what is narrower is drawn together with its neighbours
const LABELLED = 26; // what is wider has a label
const FILES = 6; // colours that stand for files
const STATE = ["zoom", "range", "search", "shape", "colour", "app", "fn", "at", "off"];
const isFile = !location.protocol.startsWith("http");
// What estimates are covered with: eight pixels wide and high.
const TILES = {
  hatch(pen) {
    for (const x of [-8, 0, 8]) {
      pen.moveTo(x - 1, 9);
      pen.lineTo(x + 9, -1);
    }
  },
  dots(pen) {
    pen.rect(1.5, 1.5, 1, 1);
    pen.rect(5.5, 5.5, 1, 1);
  },
};

class FlameView {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.root = canvas.closest(".flame-view");
    this.part = {};
    for (const name of ["tools", "found", "path", "message", "scroll", "space", "box", "legend",
      "said", "tip", "actions", "hint"]) this.part[name] = this.root.querySelector(`.flame-${name}`);
    this.field = this.root.querySelector("[name=search]");
    this.colouring = this.root.querySelector("[name=colour]");
    // Where the whole page can be folded, its own switch is the one.
    this.pageSwitch = document.querySelector("a.switch");
    this.root.querySelector("[data-do=app]").hidden = this.pageSwitch !== null;
    // The page says above it whose own time it was.
    this.hasShares = !document.querySelector(".whose");
    this.trees = {};
    this.hover = -1;
    this.listen();
    this.restore();
  }

  // --- The state, from the address and back to it.

  query() {
    return new URLSearchParams(isFile ? location.hash.slice(1) : location.search);
  }

  async restore() {
    clearTimeout(this.waiting);
    const query = this.query();
    const state = (this.state = {});
    for (const name of STATE) state[name] = query.get(name) || "";
    this.field.value = state.search;
    await this.load();
    if (this.state !== state) return;
    if (!this.tree) return this.follow();
    this.zoomed = this.tree.resolve(state.zoom);
    this.focus = state.at ? this.tree.resolve(state.at) : this.usual(state.fn);
    this.settle();
  }

  // Once the drawing is there, let what can wait follow: what is below it, and the rest of a
  // tree of which the widest boxes are shown.
  async follow() {
    for (const later of document.querySelectorAll("noscript.later"))
      later.outerHTML = later.textContent;
    const part = this.tree;
    if (!part?.isPart) return;
    const { app } = this.state;
    if (!await this.fetch(app) || this.tree !== part) return;
    const kept = part.address(this.focus);
    this.take(app);
    this.focus = this.tree.resolve(kept);
    this.settle(false);
  }

  // The node of a function that is in focus unless the state says where: the widest in sight.
  usual(key) {
    const { tree, zoomed } = this;
    const chosen = tree.widest(key, zoomed);
    return chosen < 0 ? zoomed : chosen;
  }

  // Show what the state says of a tree that was just loaded.
  settle(isRevealing = true) {
    const { tree, state } = this;
    const [left, right] = state.range.split("-").map(Number);
    this.zoomed = tree.resolve(state.zoom);
    this.glide = null;
    this.view = left >= 0 && right > left && right <= tree.whole
      ? { left, right } : this.extent(this.zoomed);
    this.link();
    this.search();
    this.arrange(isRevealing);
    requestAnimationFrame(() => setTimeout(() => this.follow(), 50));
  }

  // Change the state; `isStep` makes a step that the back button undoes. What moves all the
  // time is written when it rests.
  put(changes, isStep = false) {
    if (isStep) this.write();
    Object.assign(this.state, changes);
    this.link();
    if (isStep) this.write("pushState");
    else {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.write(), 150);
    }
  }

  write(how = "replaceState") {
    clearTimeout(this.waiting);
    const { tree, state, focus } = this;
    if (tree) state.at = focus === this.usual(state.fn) ? "" : tree.address(focus);
    const query = this.query();
    this.into(query);
    if (`${query}` === `${this.query()}`) return;
    // A search would else be taken for one of the table.
    if (document.querySelector(".tabs")) query.set("view", "flame");
    try {
      history[how](null, "", isFile ? `#${query}` : `?${query}`);
    } catch {
      // Some browsers refuse it for files, or when it is done too often.
    }
  }

  into(query) {
    for (const name of STATE) {
      if (this.state[name]) query.set(name, this.state[name]);
      else query.delete(name);
    }
  }

  // Let the other views of the profile and the page's switch keep the state.
  link() {
    for (const link of document.querySelectorAll(".tabs a, a.switch, .flame-actions a")) {
      const url = new URL(link.href);
      const { searchParams: query } = url;
      const app = query.get("app");
      this.into(query);
      if (link.matches(".switch")) {
        if (app) query.set("app", app);
        else query.delete("app");
      // Tables are searched for text.
      } else if (query.get("view") === "table" && /[\^$*+?()[\]{}|]/.test(this.state.search)) {
        query.delete("search");
      }
      link.href = url;
    }
  }

  async load() {
    const { app, zoom, range, search, fn, at } = this.state;
    const known = (this.trees[app] ??= this.held(app));
    // What an address speaks of may be in none of the widest boxes.
    if (!known || (known.isPart && (zoom || range || search || fn || at))) {
      this.part.message.textContent = "Loading…";
      if (!await this.fetch(app)) return;
    }
    if (app === this.state.app) this.take(app);
  }

  // The tree that the page holds itself, or of a large one the widest boxes.
  held(app) {
    const data = document.getElementById(app ? "flame-data-app" : "flame-data");
    if (!data || !data.textContent) return null;
    const tree = new FlameTree(JSON.parse(data.textContent));
    tree.isPart &&= this.canvas.dataset.source !== "";
    return tree;
  }

  take(app) {
    const tree = (this.tree = this.trees[app]);
    this.hover = -1;
    this.part.tip.hidden = true;
    this.focus = 0;
    this.part.message.textContent = tree.whole ? "" : "No time was recorded.";
    for (const name of ["tools", "path", "legend", "box", "scroll"]) this.part[name].hidden = !tree.whole;
  }

  // Get a whole tree; whether it came.
  async fetch(app) {
    const url = new URL(this.canvas.dataset.source, location);
    if (app) url.searchParams.set("app", app);
    try {
      this.trees[app] = await FlameTree.from(url);
      this.trees[app].isPart = false; // of some there are too many boxes for anyone
      return true;
    } catch (error) {
      this.part.message.textContent = `The profile could not be loaded: ${error.message}`;
      return false;
    }
  }

  search() {
    const { found } = this.part;
    const { search } = this.state;
    this.found = null;
    found.hidden = !search;
    this.field.removeAttribute("aria-invalid");
    // Figures are those of the whole.
    if (search && !this.tree.isPart) {
      let expression;
      let how = "";
      try {
        expression = new RegExp(search, "iu");
      } catch {
        // Who has not closed a bracket yet, or means it as it is, looks for the text itself.
        expression = new RegExp(search.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu");
        this.field.setAttribute("aria-invalid", "true");
        how = ", as plain text";
      }
      this.found = this.tree.search(expression);
      const { boxes, functions, time } = this.found;
      found.dataset.time = time;
      found.querySelector("output").textContent = boxes
        ? `${percent(time, this.tree.whole)} · ${this.about(time)} in ` +
          `${many(boxes, "box", "es")} of ${many(functions, "function")}${how}`
        : `nothing found${how}`;
      for (const button of found.querySelectorAll("button")) button.hidden = !boxes;
    }
    this.draw();
  }

  typed() {
    clearTimeout(this.typing);
    const search = this.field.value.trim();
    if (search === this.state.search) return;
    this.put({ search }, !search !== !this.state.search);
    this.write();
    if (this.tree) this.search();
  }

  // --- Where things lie.

  extent(node) {
    const { start, total, whole } = this.tree;
    return { left: start[node], right: start[node] + (total[node] || whole) };
  }

  get isFlipped() {
    return this.state.shape === "flame";
  }

  // The row of a depth, and the depth of a row.
  row(depth) {
    return this.isFlipped ? this.tree.depths - 1 - depth : depth;
  }

  timeAt(x) {
    const { left, right } = this.view;
    return left + (x / this.width) * (right - left);
  }

  nodeAt({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const row = Math.floor((clientY - top + this.part.scroll.scrollTop) / ROW);
    return this.tree.at(this.row(row), this.timeAt(clientX - left));
  }

  isRest(node) {
    return this.tree.folded !== null && this.tree.folded[node] !== 0;
  }

  isNamed(node) {
    return node > 0 && !this.isRest(node);
  }

  // --- Moving.

  // Show the time from `left` to `right`, which `zoomed` is the deepest node to hold.
  show({ left, right }, { isSmooth = false, isStep = false, zoomed = null, fn = null } = {}) {
    const { tree } = this;
    const width = Math.min(tree.whole, Math.max(right - left, 100));
    left = Math.min(Math.max(0, left), tree.whole - width);
    const target = { left, right: left + width };
    this.zoomed = zoomed ?? tree.innermost(target);
    const own = this.extent(this.zoomed);
    const isOwn = own.left === left && own.right === target.right;
    this.put({
      zoom: tree.address(this.zoomed),
      range: isOwn ? "" : `${Math.floor(left)}-${Math.ceil(target.right)}`,
      fn: fn ?? this.state.fn,
    }, isStep);
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.glide = isSmooth && !isStill
      ? { from: this.view, target, since: performance.now() } : null;
    if (!this.glide) this.view = target;
    this.crumbs();
    this.draw();
  }

  zoom(node, fn = null) {
    this.show(this.extent(node), { isSmooth: true, isStep: true, zoomed: node, fn });
    this.reveal(node);
  }

  scale(factor, time) {
    const { left, right } = this.glide ? this.glide.target : this.view;
    this.show({ left: time - (time - left) * factor, right: time + (right - time) * factor });
  }

  scaleAtFocus(factor) {
    const { left, right } = this.view;
    const own = this.extent(this.focus);
    const middle = (own.left + own.right) / 2;
    if (this.hover >= 0) this.scale(factor, this.timeAt(this.pointed));
    else this.scale(factor, middle > left && middle < right ? middle : (left + right) / 2);
  }

  pan(pixels) {
    this.show({ left: this.timeAt(pixels), right: this.timeAt(pixels + this.width) });
  }

  reveal(node) {
    this.scrollTo(node);
    this.draw();
  }

  // Scroll until the row of a node is in sight, with some rows around it; the window, too.
  scrollTo(node) {
    const { scroll, box } = this.part;
    const top = this.row(this.tree.depth[node]) * ROW;
    if (top - 5 * ROW < scroll.scrollTop) scroll.scrollTop = top - 5 * ROW;
    else if (top + 6 * ROW > scroll.scrollTop + scroll.clientHeight)
      scroll.scrollTop = top + 6 * ROW - scroll.clientHeight;
    const y = this.canvas.getBoundingClientRect().top - scroll.scrollTop + top;
    const free = Math.min(innerHeight, box.getBoundingClientRect().top) - 2 * ROW;
    scrollBy(0, Math.min(0, y) + Math.max(0, y - free));
  }

  // Put the keyboard's box on a node, and zoom out as far as it takes to see that.
  walk(node, widest = 0) {
    if (node < 0) return;
    const { tree, view } = this;
    const own = this.extent(node);
    this.focus = node;
    this.put({ fn: this.keyOf(node) });
    if (own.right <= view.left || own.left >= view.right || widest) {
      let above = node;
      const enough = widest || view.right - view.left;
      while (above && tree.total[above] < enough) above = tree.parent[above];
      this.show(this.extent(above), { isSmooth: true, zoomed: above });
    }
    this.reveal(node);
    this.announce();
  }

  // The function of a node, for all views of the profile.
  keyOf(node) {
    return this.isNamed(node) ? this.tree.key(node) : "";
  }

  // Choose a node and zoom to it, in one step.
  enter(node) {
    this.focus = node;
    this.zoom(node, this.keyOf(node));
    this.announce();
  }

  // Walk to the next match in the order of calls; zoom where it is too narrow to be seen.
  match(step) {
    const { found, tree, view } = this;
    if (!found || !found.boxes) return;
    let node = this.focus;
    do node = (node + step + tree.count) % tree.count; while (!found.isFound[node]);
    const pixels = (tree.total[node] / (view.right - view.left)) * this.width;
    this.walk(node, pixels < 4 ? 8 * tree.total[node] : 0);
  }

  // --- Drawing.

  draw() {
    if (this.frame || !this.colours) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.step();
      this.paint();
      if (this.glide) this.draw();
    });
  }

  step() {
    if (!this.glide) return;
    const { from, target, since } = this.glide;
    const part = Math.min(1, (performance.now() - since) / 160);
    const between = (side) => from[side] + (target[side] - from[side]) * (1 - (1 - part) ** 3);
    this.view = part < 1 ? { left: between("left"), right: between("right") } : target;
    if (part === 1) this.glide = null;
  }

  // Fit the frame to the tree and the canvas to its frame; read colours; set what is around; draw.
  // Nothing is measured before all is written, so that the browser lays the page out once.
  arrange(isRevealing = false) {
    if (!this.tree || !this.tree.whole) return;
    const { canvas, part, state, tree } = this;
    part.space.style.height = `${tree.depths * ROW}px`;
    this.off = new Set(state.off.split(",").filter(Boolean));
    this.press("app", state.app);
    this.press("flip", this.isFlipped);
    this.colouring.value = state.colour === "file" ? "file" : "";
    this.colouring.hidden = tree.isDifference;
    this.legend();
    this.crumbs();
    this.details();
    this.width = part.space.clientWidth;
    this.height = part.scroll.clientHeight;
    this.ratio = window.devicePixelRatio;
    canvas.style.height = `${this.height}px`;
    canvas.width = Math.round(this.width * this.ratio);
    canvas.height = Math.round(this.height * this.ratio);
    this.readColours();
    if (isRevealing && (this.focus || this.isFlipped)) this.scrollTo(this.focus);
    this.paint();
  }

  press(name, isOn) {
    this.root.querySelector(`[data-do=${name}]`).setAttribute("aria-pressed", Boolean(isOn));
  }

  readColours() {
    const style = getComputedStyle(this.canvas);
    const { kind, file } = this.tree.functions;
    this.colours = new Proxy({}, {
      get: (known, name) =>
        (known[name] ??= style.getPropertyValue(`--flame-${name}`).trim()),
    });
    this.faint = Number(this.colours.faint);
    this.font = `${style.fontSize} ${style.fontFamily}`;
    this.widths = new Map();
    this.isOff = kind.map((name) => this.off.has(slug(name)));
    this.fills = kind.map((name, at) => this.colours[
      this.state.colour === "file" ? `file-${hash(file[at]) % FILES}` : slug(name)]);
    this.patterns = {};
  }

  pattern(name) {
    return (this.patterns[name] ??= this.tile(TILES[name]));
  }

  tile(trace) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = Math.round(8 * this.ratio);
    const pen = tile.getContext("2d");
    const scale = tile.width / 8;
    pen.scale(scale, scale);
    pen.strokeStyle = this.colours.hatch;
    pen.lineWidth = 1.25;
    trace(pen);
    pen.stroke();
    const pattern = this.pen.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix().scale(1 / scale));
    return pattern;
  }

  paint() {
    const { tree, pen, width, height, canvas } = this;
    const begun = performance.now();
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.fill(this.colours.page, 0, 0, width, height);
    pen.font = this.font;
    pen.textBaseline = "middle";
    pen.direction = "ltr";
    const scrolled = this.part.scroll.scrollTop;
    const last = Math.min(tree.depths, Math.ceil((scrolled + height) / ROW));
    for (let row = Math.floor(scrolled / ROW); row < last; row++)
      this.paintRow(this.row(row), row * ROW - scrolled);
    this.frames(scrolled);
    this.details();
    canvas.dataset.painted = (performance.now() - begun).toFixed(2);
    canvas.dataset.drawn ??= performance.now().toFixed(1);
    canvas.dataset.nodes = tree.count;
  }

  fill(style, x, y, width, height = ROW - 1, alpha = 1) {
    this.pen.globalAlpha = alpha;
    this.pen.fillStyle = style;
    this.pen.fillRect(x, y, width, height);
  }

  paintRow(depth, y) {
    const { tree, width, view, found } = this;
    const { rows, start, total } = tree;
    const scale = width / (view.right - view.left);
    const last = tree.rowStart[depth + 1];
    let sliver = { from: 0, to: 0, isFound: false };
    for (let place = tree.placeAfter(depth, view.left); place < last; ) {
      const node = rows[place];
      const x = (start[node] - view.left) * scale;
      if (x >= width) break;
      if (total[node] * scale >= LEAST) {
        this.paintBox(node, x, total[node] * scale, y);
        place++;
        continue;
      }
      // All that ends within this pixel is one sliver, and what adjoins it is too.
      const from = Math.floor(x);
      const next = tree.placeAfter(depth, view.left + (from + 1) / scale, place + 1);
      const isFound = found !== null && found.before[next] > found.before[place];
      if (from > sliver.to || isFound !== sliver.isFound) {
        this.paintSliver(sliver, y);
        sliver = { from, to: from, isFound };
      }
      sliver.to = from + 1;
      place = next;
    }
    this.paintSliver(sliver, y);
  }

  paintSliver({ from, to, isFound }, y) {
    const { colours } = this;
    const alpha = this.found && !isFound ? this.faint : 1;
    if (to > from) this.fill(isFound ? colours.mark : colours.tiny, from, y, to - from, ROW - 1, alpha);
  }

  paintBox(node, x, boxWidth, y) {
    const { tree, width, colours, found } = this;
    const number = tree.function[node];
    const isRest = this.isRest(node);
    const isMatch = found !== null && found.isFound[node] === 1;
    const isFaint = found !== null ? !isMatch : this.isOff[number];
    // Of a box that is partly outside that part is left out which nobody sees.
    const from = Math.max(x, 0);
    const to = Math.min(x + boxWidth - (boxWidth >= 3 ? 1 : 0), width);
    const room = to - from;
    let colour = this.fills[number];
    if (!node || isRest) colour = colours.tiny;
    else if (tree.isDifference) colour = this.changeColour(node);
    this.fill(colour, from, y, room, ROW - 1, isFaint ? this.faint : 1);
    if (room > 3 && !this.isSure(node))
      this.fill(this.pattern(tree.truth === "sampled" && !tree.low ? "dots" : "hatch"), from, y, room);
    if (room > 3 && node && tree.isDifference && !(tree.before[node] && tree.after[node])) {
      const isGone = tree.before[node] > 0;
      this.fill(isGone ? colours.gone : colours.added, isGone ? to - 4 : from, y, 4);
    }
    if (room >= LABELLED) this.label(node, from + 5, room - 9, y + ROW / 2, isFaint && !this.isOff[number]);
  }

  // Whether a box is drawn solid.
  isSure(node) {
    return this.tree.isExact(node) && !this.isRest(node);
  }

  change(node) {
    const change = this.tree.after[node] - this.tree.before[node];
    return (change > 0 ? "+" : change < 0 ? "−" : "±") + duration(Math.abs(change));
  }

  changeColour(node) {
    const { before, after } = this.tree;
    const most = Math.max(before[node], after[node]);
    const change = most ? (after[node] - before[node]) / most : 0;
    const part = Math.round(100 * Math.sqrt(Math.abs(change)));
    const { same, slower, faster } = this.colours;
    return part ? `color-mix(in srgb, ${change > 0 ? slower : faster} ${part}%, ${same})` : same;
  }

  label(node, x, room, y, isFaint) {
    const { tree, pen } = this;
    const isRecursive = tree.recursive !== null && tree.recursive[node];
    const text = this.clipped((isRecursive ? "↻ " : "") + this.name(node), room);
    pen.globalAlpha = isFaint ? 0.6 : 1;
    pen.fillStyle = this.colours.text;
    pen.fillText(text, x, y);
    const share = tree.isDifference ? this.change(node) : percent(tree.total[node], tree.whole);
    const used = this.length(share);
    if (text.endsWith("…") || room - this.length(text) < used + 70) return;
    pen.fillStyle = this.colours.muted;
    pen.fillText(share, x + room - used, y);
  }

  length(text) {
    let sum = 0;
    for (const character of text) {
      if (!this.widths.has(character))
        this.widths.set(character, this.pen.measureText(character).width);
      sum += this.widths.get(character);
    }
    return sum;
  }

  // As much of a text as there is room for, with an ellipsis where that is not all.
  clipped(text, room) {
    const characters = [...text];
    let sum = 0;
    let fits = 0; // characters beside an ellipsis
    for (const [at, character] of characters.entries()) {
      sum += this.length(character);
      if (sum > room) return fits > 1 ? `${characters.slice(0, fits).join("")}…` : "";
      if (sum + this.length("…") <= room) fits = at + 1;
    }
    return text;
  }

  // Frames around the chosen function, what is pointed at and what the keyboard is on.
  frames(scrolled) {
    const { tree, pen, colours, width, view } = this;
    const scale = width / (view.right - view.left);
    pen.globalAlpha = 1;
    const frame = (node, colour, line) => {
      const x = Math.max(0, (tree.start[node] - view.left) * scale);
      const right = Math.min(width, (tree.start[node] + tree.total[node] - view.left) * scale);
      const y = this.row(tree.depth[node]) * ROW - scrolled;
      if (right < x || y < -ROW || y > this.height) return;
      // What would be too narrow to be seen is a mark.
      if (right - x < 3) return this.fill(colour, Math.round(x) - 1, y, 3);
      pen.strokeStyle = colour;
      pen.lineWidth = line;
      pen.strokeRect(x + line / 2, y + line / 2, Math.max(0, right - x - line - 1), ROW - 1 - line);
    };
    const number = this.state.fn ? tree.functions.key.indexOf(this.state.fn) : -1;
    const marked = new Float64Array(tree.depths).fill(-1); // up to where, in each row
    for (let node = 0; number >= 0 && node < tree.count; node++) {
      if (tree.function[node] !== number) continue;
      const end = (tree.start[node] + tree.total[node] - view.left) * scale;
      if (end <= marked[tree.depth[node]]) continue;
      marked[tree.depth[node]] = end + 1;
      frame(node, colours.mark, 2);
    }
    if (this.hover >= 0) frame(this.hover, colours.stroke, 1);
    if (document.activeElement === this.canvas) frame(this.focus, colours.stroke, 2);
  }

  // --- What is said of a box.

  about(ns, isSure = this.tree.truth !== "sampled") {
    return (isSure ? "" : "≈\u202f") + duration(ns);
  }

  name(node) {
    const { folded } = this.tree;
    if (!node) return "all";
    if (!this.isRest(node)) return this.tree.name(this.tree.function[node]) || "(no name)";
    return folded[node] > 0 ? many(folded[node], "smaller call") : "calls that are not shown";
  }

  place(node) {
    const { file, line } = this.tree.functions;
    const number = this.tree.function[node];
    if (!file[number] || file[number] === "~") return "";
    return visible(file[number]) + (line[number] > 0 ? `:${line[number]}` : "");
  }

  // What there is to know: of each figure its name, itself, its share and its exact value.
  figures(node, isAll = false) {
    const { tree } = this;
    const isSure = this.isSure(node);
    const isExact = tree.truth === "exact";
    const isOwn = isExact || tree.undivided?.[node];
    const exactly = (ns) => `${grouped(ns)} ns`;
    const lines = [];
    if (tree.isDifference) {
      for (const [name, before, after] of [
        ["Total", tree.before[node], tree.after[node]],
        ["Self", tree.self_before[node], tree.self_after[node]],
      ]) {
        const sign = after > before ? "+" : after < before ? "−" : "±";
        lines.push([name, `${this.about(before, isExact)} → ${this.about(after, isExact)}`,
          sign + duration(Math.abs(after - before)), `${exactly(before)} → ${exactly(after)}`]);
      }
    } else {
      const total = tree.total[node];
      let bounds = "";
      if (tree.low && node && !isSure && tree.truth !== "sampled") {
        const unit = scaleOf(total);
        const [low] = duration(tree.low[node], unit).split("\u202f");
        bounds = ` (${low}–${duration(tree.high[node], unit)})`;
      }
      const own = tree.self[node];
      lines.push(
        ["Total", this.about(total, isSure) + bounds, percent(total, tree.whole), exactly(total)],
        [this.state.app ? "Self, with other code" : "Self", this.about(own, isOwn),
          percent(own, tree.whole), exactly(own)]);
      if (tree.parent[node] > 0)
        lines.push(["Of its caller", percent(total, tree.total[tree.parent[node]]), "", ""]);
    }
    const calls = tree.calls[node];
    if (calls) {
      const isSampled = tree.truth === "sampled";
      lines.push([isSampled ? "Samples" : "Calls", (isOwn ? "" : "≈\u202f") + grouped(calls),
        isSampled || tree.isDifference ? "" : `${duration(tree.total[node] / calls)} each`, ""]);
    }
    if (isAll && this.isNamed(node) && !tree.isDifference && !tree.isPart) {
      const { boxes, time } = tree.find(tree.functions.kind.map((_, at) => at === tree.function[node]));
      if (boxes > 1)
        lines.push([`In all ${grouped(boxes)} boxes of it`, this.about(time, isExact), percent(time, tree.whole), ""]);
    }
    return lines;
  }

  truth(node) {
    const { tree } = this;
    const isRecursive = tree.recursive !== null && tree.recursive[node] === 1;
    if (this.isRest(node)) return "folded: too short or too many to be shown one by one";
    if (tree.truth === "sampled") return "sampled: times are estimates";
    if (tree.truth === "exact")
      return isRecursive ? "exact; a call within another of the same function" : "exact";
    if (tree.undivided?.[node]) return "exact";
    if (tree.isExact(node)) return "the total is exact, the rest estimated";
    if (isRecursive) return "estimated; it calls itself, so there is no lower bound";
    return tree.low ? "estimated, within these bounds" : "estimated";
  }

  describe(node, isAll = false) {
    const { tree } = this;
    const heading = element("p", "flame-name");
    heading.append(element("bdi", "code", this.name(node)));
    if (this.isNamed(node)) {
      const kind = tree.functions.kind[tree.function[node]];
      heading.append(element("bdi", "flame-place", this.place(node)),
        element("span", `kind ${slug(kind)}`, kind));
    }
    const list = element("dl");
    for (const [term, figure, share, exact] of this.figures(node, isAll)) {
      const item = element("div");
      item.append(element("dt", "", term), element("dd", "", figure),
        element("dd", "share", share), element("dd", "flame-exactly", exact));
      list.append(item);
    }
    return [heading, list, element("p", "flame-truth", this.truth(node))];
  }

  // The panel below the canvas is of the box that was clicked or walked to.
  details() {
    const { tree, focus } = this;
    if (this.detailed === tree && this.detailedNode === focus) return;
    this.detailed = tree;
    this.detailedNode = focus;
    const { box, actions, hint } = this.part;
    const [heading, ...rest] = this.describe(focus, true);
    box.replaceChildren(heading, hint, actions, ...rest);
    hint.hidden = focus > 0;
    actions.hidden = !this.isNamed(focus);
    actions.lastElementChild.textContent = "Copy stack";
    Object.assign(box.dataset, {
      node: focus, truth: this.isSure(focus) ? "exact" : tree.truth,
      total: tree.total[focus], self: tree.self[focus],
    });
  }

  announce() {
    const figures = this.figures(this.focus)
      .map(([term, figure, share]) => `${term} ${figure} ${share}`.trim());
    const words = [this.name(this.focus), ...figures, this.truth(this.focus)].join("; ");
    this.part.said.textContent = words.replaceAll("≈", "about ");
    this.details();
    this.draw();
  }

  point(node, { clientX, clientY }) {
    const { tip } = this.part;
    if (node !== this.hover) {
      this.hover = node;
      this.canvas.classList.toggle("is-pointing", node >= 0);
      tip.hidden = node < 0;
      if (node >= 0) tip.replaceChildren(...this.describe(node));
      this.draw();
    }
    if (node < 0) return;
    this.pointed = clientX - this.canvas.getBoundingClientRect().left;
    const { clientWidth, clientHeight } = document.documentElement;
    const x = Math.max(4, Math.min(clientX + 14, clientWidth - tip.offsetWidth - 8));
    const isAbove = clientY + 24 + tip.offsetHeight > clientHeight;
    const y = Math.max(4, isAbove ? clientY - tip.offsetHeight - 10 : clientY + 18);
    tip.style.transform = `translate(${x}px, ${y}px)`;
  }

  // --- What is around the canvas.

  crumbs() {
    const { path } = this.part;
    const stack = [0, ...this.tree.stack(this.zoomed)];
    const shown = `${this.state.app} ${this.zoomed}`;
    if (this.crumbed === shown) return;
    this.crumbed = shown;
    path.firstElementChild.replaceChildren(...stack.map((node) => {
      const item = element("li");
      const button = element("button", "", this.name(node));
      button.type = "button";
      button.title = `${this.name(node)}, ${percent(this.tree.total[node], this.tree.whole)}`;
      if (node === this.zoomed) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => this.zoom(node));
      item.append(button);
      return item;
    }));
    if (this.zoomed) path.scrollLeft = path.scrollWidth;
  }

  legend() {
    const { tree } = this;
    const isByFile = this.state.colour === "file" && !tree.isDifference;
    for (const button of this.part.legend.querySelectorAll("button")) {
      const time = tree.kinds[button.dataset.kind];
      button.hidden = !time || isByFile || tree.isDifference;
      button.setAttribute("aria-pressed", !this.off.has(button.dataset.kind));
      button.lastElementChild.textContent = this.hasShares && !tree.isPart ? percent(time, tree.whole) : "";
    }
    const isSo = {
      file: isByFile, difference: tree.isDifference, recursive: tree.recursive !== null,
      sampled: tree.truth === "sampled", estimated: tree.truth === "estimated",
      unshown: tree.unshown > 0 && !isByFile && !tree.isDifference && !tree.isPart,
    };
    this.part.legend.querySelector("[data-if=unshown] .share").textContent =
      percent(tree.unshown, tree.whole);
    for (const sample of this.part.legend.querySelectorAll("[data-if]"))
      sample.hidden = !isSo[sample.dataset.if];
  }

  // --- What people do.

  async do(what) {
    if (!this.tree || !this.tree.whole) return;
    const { state } = this;
    if (what === "next") this.match(1);
    else if (what === "previous") this.match(-1);
    else if (what === "in") this.scaleAtFocus(1 / 1.5);
    else if (what === "out") this.scaleAtFocus(1.5);
    else if (what === "reset") this.zoom(0);
    else if (what === "left") this.pan(this.width / -5);
    else if (what === "right") this.pan(this.width / 5);
    else if (what === "copy") {
      this.canvas.focus();
      document.execCommand("copy"); // works without TLS, too; `copy` says what
    }
    else if (what === "flip") {
      this.put({ shape: this.isFlipped ? "" : "flame" }, true);
      this.arrange(true);
    } else if (this.pageSwitch) this.pageSwitch.click();
    else if (what === "app") {
      // What has the same stack there stays zoomed and in focus.
      const kept = this.tree.address(this.focus);
      this.put({ app: state.app ? "" : "1", range: "" }, true);
      await this.load();
      if (state !== this.state) return;
      this.focus = this.tree.resolve(kept);
      this.settle();
    }
  }

  listen() {
    const { canvas, root, part, field } = this;
    const on = (target, name, action, options) => target.addEventListener(name, action, options);
    on(root, "click", ({ target }) => {
      const button = target.closest("[data-do], [data-kind]");
      if (!button) return;
      const { kind } = button.dataset;
      if (!kind) return this.do(button.dataset.do);
      if (!this.off.delete(kind)) this.off.add(kind);
      this.put({ off: [...this.off].join() }, true);
      this.arrange();
    });
    on(this.colouring, "change", () => {
      this.put({ colour: this.colouring.value }, true);
      this.arrange();
    });
    on(field, "input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.typed(), 100);
    });
    on(field, "keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.typed();
        this.match(event.shiftKey ? -1 : 1);
      } else if (event.key === "Escape") {
        field.value = "";
        field.dispatchEvent(new Event("input"));
        canvas.focus();
      }
    });
    on(window, isFile ? "hashchange" : "popstate", () => this.restore());
    // Whoever leaves is to come back to what was last.
    on(document, "click", () => this.write(), true);
    on(document, "copy", (event) => this.copy(event));
    on(document, "keydown", (event) => this.key(event));
    on(canvas, "focus", () => this.draw());
    on(canvas, "blur", () => this.draw());
    on(part.scroll, "scroll", () => this.draw());
    on(matchMedia("(prefers-color-scheme: dark)"), "change", () => this.arrange());
    new ResizeObserver(() => {
      const { width, height } = this;
      if (part.space.clientWidth !== width || part.scroll.clientHeight !== height) this.arrange();
    }).observe(part.scroll);
    on(canvas, "wheel", (event) => this.wheel(event), { passive: false });
    on(canvas, "click", (event) => this.tree && this.click(event));
    on(canvas, "pointerleave", (event) => this.point(-1, event));
    this.pointers = new Map();
    for (const name of ["down", "move", "up", "cancel"])
      on(canvas, `pointer${name}`, (event) => this.tree && this.pointer(name, event));
  }

  // Up and down the frame scrolls by itself.
  wheel(event) {
    const unit = event.deltaMode ? 16 : 1;
    const across = (event.shiftKey ? event.deltaX || event.deltaY : event.deltaX) * unit;
    const down = event.shiftKey ? 0 : event.deltaY * unit;
    if (event.ctrlKey || event.metaKey) {
      const x = event.clientX - canvasLeft(event);
      this.scale(Math.exp(Math.max(-60, Math.min(60, down)) / 100), this.timeAt(x));
    } else if (Math.abs(across) > Math.abs(down)) this.pan(across);
    else return;
    event.preventDefault();
    this.point(this.nodeAt(event), event);
  }

  // One pointer drags, two pinch.
  pointer(name, event) {
    const { pointers, canvas } = this;
    const { pointerId: id, clientX: x, clientY: y } = event;
    const was = pointers.get(id);
    if (name === "down" && event.button === 0) {
      canvas.setPointerCapture(id);
      pointers.set(id, { x, y });
      this.hasMoved = pointers.size > 1;
    } else if (name === "move" && was) {
      this.hasMoved ||= Math.hypot(x - was.x, y - was.y) > 4;
      if (!this.hasMoved) return;
      this.point(-1, event);
      pointers.set(id, { x, y });
      const [other] = [...pointers.keys()].filter((one) => one !== id);
      if (other === undefined) {
        this.pan(was.x - x);
        if (event.pointerType === "mouse") this.part.scroll.scrollTop += was.y - y;
        return;
      }
      const fixed = pointers.get(other).x;
      const gap = (one) => Math.max(20, Math.abs(one - fixed));
      this.scale(gap(was.x) / gap(x), this.timeAt(fixed - canvasLeft(event)));
    } else if (name === "move" && event.pointerType === "mouse") {
      this.point(this.nodeAt(event), event);
    } else pointers.delete(id);
  }

  click(event) {
    const node = this.nodeAt(event);
    // The second click of two is on what the first one has moved there.
    if (node < 0 || this.hasMoved || event.detail > 1) return;
    this.point(-1, event);
    this.enter(node);
  }

  // Copying takes the stack of the box, unless text is selected.
  copy(event) {
    const { tree, focus, canvas, part } = this;
    if (document.activeElement !== canvas || !getSelection().isCollapsed || !tree) return;
    event.preventDefault();
    const lines = tree.stack(focus).map((node) => `${this.name(node)} ${this.place(node)}`.trim());
    event.clipboardData.setData("text/plain", lines.join("\n"));
    part.said.textContent = "Stack copied";
    part.actions.lastElementChild.textContent = "Copied";
  }

  key(event) {
    const { tree, focus } = this;
    const { key, target } = event;
    if (event.defaultPrevented || event.altKey || !tree) return;
    if (event.ctrlKey || event.metaKey) {
      // The browser does not look into a canvas.
      if (key !== "f" || target !== this.canvas) return;
      event.preventDefault();
      return this.field.select();
    }
    if (target.closest("input, select, textarea, dialog")) return;
    const [inner, outer] = this.isFlipped ? ["ArrowUp", "ArrowDown"] : ["ArrowDown", "ArrowUp"];
    const onCanvas = {
      [inner]: () => this.walk(tree.child(focus)),
      [outer]: () => this.walk(tree.parent[focus]),
      ArrowLeft: () => this.walk(tree.beside(focus, -1)),
      ArrowRight: () => this.walk(tree.beside(focus, 1)),
      Home: () => this.walk(0),
      Enter: () => this.enter(focus),
    };
    const anywhere = {
      "/": () => this.field.focus(), n: "next", N: "previous", i: "flip", o: "app",
      "+": "in", "=": "in", w: "in", "-": "out", s: "out", a: "left", d: "right",
      0: "reset", Escape: "reset",
    };
    const action = (target === this.canvas && onCanvas[key]) || anywhere[key];
    if (!action) return;
    event.preventDefault();
    if (typeof action === "string") this.do(action);
    else action();
  }
}

function canvasLeft(event) {
  return event.currentTarget.getBoundingClientRect().left;
}

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

function hash(text) {
  let sum = 0;
  for (let at = 0; at < text.length; at++) sum = (sum * 31 + text.charCodeAt(at)) >>> 0;
  return sum;
}

for (const canvas of document.querySelectorAll("canvas.flame")) new FlameView(canvas);
