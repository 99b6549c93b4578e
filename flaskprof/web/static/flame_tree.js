// The tree of a flame view: where its boxes lie, what a search finds, how figures are written.
// It draws nothing. The data is that of flaskprof/web/flame_data.py.
"use strict";

class FlameTree {
  // Node i lies from start[i] on and is total[i] wide, in nanoseconds; its callees are the
  // nodes from i + 1 to end[i]. rows has the nodes of each depth from left to right: those of
  // depth d from rowStart[d] to rowStart[d + 1]. If it is a part, its widest boxes lie where
  // they do in the whole, and further ones are left out.
  constructor(data) {
    const { functions, nodes } = data;
    const count = (this.count = nodes.parent.length);
    this.whole = data.total;
    this.truth = data.truth;
    this.isPart = !data.is_whole;
    this.depths = data.depths;
    this.functions = functions;
    this.names = [];
    this.parent = new Int32Array(nodes.parent);
    this.function = new Int32Array(nodes.function);
    for (const column of ["self", "total", "calls", "low", "high", "recursive", "folded",
      "undivided", "before", "after", "self_before", "self_after"]) {
      this[column] = nodes[column] ? new Float64Array(nodes[column]) : null;
    }
    this.isDifference = this.before !== null;
    const { parent, total } = this;
    const start = (this.start = new Float64Array(count));
    const free = new Float64Array(count);
    const depth = (this.depth = new Int32Array(count));
    const end = (this.end = new Int32Array(count));
    for (let node = 1; node < count; node++) {
      const above = parent[node];
      depth[node] = depth[above] + 1;
      start[node] = free[node] = free[above];
      free[above] += total[node];
    }
    for (let node = count - 1; node >= 0; node--) {
      if (!end[node]) end[node] = node + 1;
      if (node && end[parent[node]] < end[node]) end[parent[node]] = end[node];
    }
    const rowStart = (this.rowStart = new Int32Array(this.depths + 1));
    for (let node = 0; node < count; node++) rowStart[depth[node] + 1]++;
    for (let d = 0; d < this.depths; d++) rowStart[d + 1] += rowStart[d];
    const next = rowStart.slice();
    this.rows = new Int32Array(count);
    this.kinds = {}; // nanoseconds of their own code
    this.unshown = 0; // and of calls that have no box of their own
    const kinds = functions.kind.map(slug);
    for (let node = 0; node < count; node++) {
      this.rows[next[depth[node]]++] = node;
      const kind = kinds[this.function[node]];
      if (this.folded && this.folded[node]) this.unshown += this.self[node];
      else if (node) this.kinds[kind] = (this.kinds[kind] || 0) + this.self[node];
    }
  }

  // The tree whose data is at an address.
  static async from(url) {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    if (response.ok) return new FlameTree(await response.json());
    const { detail } = await response.json().catch(() => ({}));
    throw new Error(detail || response.statusText);
  }

  // The name of a function as it is shown.
  name(number) {
    return (this.names[number] ??= visible(this.functions.name[number]).slice(0, 400));
  }

  // What a search looks into, of each function.
  get texts() {
    const { name, file, line } = this.functions;
    return (this.searched ??= name.map((text, at) => `${text} ${file[at]}:${line[at]}`.slice(0, 1000)));
  }

  // The first place in rows, of this depth and from `from` on, whose node ends after `time`.
  placeAfter(d, time, from = this.rowStart[d]) {
    const { rows, start, total } = this;
    let low = from;
    let high = this.rowStart[d + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      const node = rows[middle];
      if (start[node] + total[node] > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  // The node of a depth that lies at a time, or -1.
  at(d, time) {
    if (d < 0 || d >= this.depths) return -1;
    const place = this.placeAfter(d, time);
    if (place === this.rowStart[d + 1]) return -1;
    const node = this.rows[place];
    return this.start[node] <= time ? node : -1;
  }

  child(node) {
    return this.end[node] > node + 1 ? node + 1 : -1;
  }

  // The node beside one, `step` places to the right of it at its depth, or -1.
  beside(node, step) {
    const d = this.depth[node];
    let place = this.placeAfter(d, this.start[node]);
    // Nodes without time lie where the next one begins.
    if (this.rows[place] !== node) place = this.rows.indexOf(node, this.rowStart[d]);
    place += step;
    return place >= this.rowStart[d] && place < this.rowStart[d + 1] ? this.rows[place] : -1;
  }

  // The deepest node that holds all of a range of time.
  innermost({ left, right }) {
    let node = 0;
    for (let d = 1; d < this.depths; d++) {
      const next = this.at(d, left);
      if (next < 0 || this.start[next] + this.total[next] < right) break;
      node = next;
    }
    return node;
  }

  // The nodes from the first below the root to this one.
  stack(node) {
    const found = [];
    for (let at = node; at > 0; at = this.parent[at]) found.push(at);
    return found.reverse();
  }

  key(node) {
    return this.functions.key[this.function[node]];
  }

  // A node as text for an address: digits of the keys on its stack, which mean the same in
  // other profiles of the same code; very deep ones by their number.
  address(node) {
    if (this.depth[node] > 250 && !this.isPart) return `~${node}`;
    return this.stack(node).slice(0, 250).map((at) => this.key(at).slice(0, 5)).join("");
  }

  // The node of an address; where functions are missing here, the one that comes nearest.
  resolve(address) {
    if (address.startsWith("~")) {
      const node = Number(address.slice(1));
      return node > 0 && node < this.count ? Math.floor(node) : 0;
    }
    let node = 0;
    for (let at = 0; at < address.length; at += 5) {
      const wanted = address.slice(at, at + 5);
      for (let below = this.child(node); below > 0 && below < this.end[node]; ) {
        if (this.key(below).startsWith(wanted)) {
          node = below;
          break;
        }
        below = this.end[below];
      }
    }
    return node;
  }

  // The widest node of a function in or below a node, or -1.
  widest(key, above = 0) {
    const number = this.functions.key.indexOf(key);
    let found = -1;
    for (let node = above; number >= 0 && node < this.end[above]; node++) {
      if (this.function[node] === number && !(found >= 0 && this.total[found] >= this.total[node]))
        found = node;
    }
    return found;
  }

  // What an expression finds.
  search(expression) {
    const isFunction = Uint8Array.from(this.texts, (text) => Number(expression.test(text)));
    return this.find(isFunction);
  }

  // Where functions are: the boxes of those whose number says 1, and the time of all that lies
  // in or below a box, once. `before[p]` counts boxes among the first p of rows.
  find(isFunction) {
    const isFound = new Uint8Array(this.count);
    const found = { isFound, boxes: 0, functions: 0, time: 0 };
    const seen = new Uint8Array(isFunction.length);
    let covered = 0;
    for (let node = 1; node < this.count; node++) {
      const number = this.function[node];
      if (!isFunction[number] || (this.folded && this.folded[node])) continue;
      isFound[node] = 1;
      found.boxes++;
      if (!seen[number]) found.functions += seen[number] = 1;
      if (node < covered) continue;
      found.time += this.total[node];
      covered = this.end[node];
    }
    found.before = new Int32Array(this.count + 1);
    for (let place = 0; place < this.count; place++)
      found.before[place + 1] = found.before[place] + isFound[this.rows[place]];
    return found;
  }

  // Whether the total time of a node is known, and not an estimate.
  isExact(node) {
    if (this.low) return this.truth !== "sampled" && this.low[node] === this.high[node];
    return this.truth === "exact";
  }
}

// Characters that cannot be seen, or that turn text around, written out as Python does.
function visible(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0);
    const digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
    return `\\${{ 2: "x", 4: "u", 8: "U" }[digits]}${code.toString(16).padStart(digits, "0")}`;
  });
}

const SCALES = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

// Nanoseconds with three significant digits in the unit that suits them, or in a given one.
function duration(ns, [size, unit] = scaleOf(ns)) {
  const scaled = ns / size;
  const most = Math.abs(scaled);
  const digits = unit === "ns" || most >= 99.95 || !ns ? 0 : most >= 9.995 ? 1 : 2;
  return `${grouped(scaled.toFixed(digits))}\u202f${unit}`;
}

function scaleOf(ns) {
  const rounded = Math.abs(Number(ns.toPrecision(3)));
  return SCALES.find(([size]) => rounded >= size) || SCALES[ns ? 3 : 0];
}

// A number's thousands set apart.
function grouped(digits) {
  return String(digits).replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));
}

function many(number, what, plural = "s") {
  return `${grouped(number)} ${what}${number === 1 ? "" : plural}`;
}

// The kind of a function as a name for its colour.
function slug(kind) {
  return kind.split(" ")[0];
}

function percent(part, whole) {
  const share = whole ? (100 * part) / whole : 0;
  return share > 0 && share < 0.05 ? "<0.1\u202f%" : `${share.toFixed(1)}\u202f%`;
}
