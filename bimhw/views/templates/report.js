"use strict";
// The report's interactive parts. No library, no network: everything is in the page.
const $ = (s, root = document) => root.querySelector(s);
const $$ = (s, root = document) => [...root.querySelectorAll(s)];
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const data = JSON.parse($("#data").textContent);

function si(value, unit) {
  if (value === null || value === undefined) return "unknown";
  if (value === 0) return "0 " + unit;
  const e = Math.min(4, Math.max(-6, Math.floor(Math.log10(Math.abs(value)) / 3)));
  return +(value / 1000 ** e).toPrecision(3) + " " + ["a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T"][e + 6] + unit;
}

// --- theme: the system's, or the one chosen
function theme(name) {
  document.documentElement.dataset.theme = name;
  redraw();
}
$("#theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");

// --- tables: sort by a heading, save as CSV
const number = text => {
  const m = /^\s*([-+]?[\d.,]+(?:e[-+]?\d+)?)\s*([afpnµmkMGT]?)/.exec(text);
  if (!m) return null;
  return parseFloat(m[1].replace(/,/g, "")) * ({a: 1e-18, f: 1e-15, p: 1e-12, n: 1e-9, "µ": 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12}[m[2]] || 1);
};
for (const th of $$("th")) th.onclick = () => {
  const table = th.closest("table"), i = [...th.parentNode.children].indexOf(th), up = th.getAttribute("aria-sort") !== "descending";
  $$("th", table).forEach(h => h.removeAttribute("aria-sort"));
  th.setAttribute("aria-sort", up ? "descending" : "ascending");
  const value = row => row.children[i].textContent, body = $("tbody", table);
  const rows = [...body.rows].sort((a, b) => {
    const x = number(value(a)), y = number(value(b));
    if (x === null && y === null) return value(a).localeCompare(value(b));
    return (y ?? -Infinity) - (x ?? -Infinity);
  });
  body.append(...(up ? rows : rows.reverse()));
};
function save(name, url) {
  const a = document.createElement("a");
  a.href = url; a.download = name; a.click();
}
function csv(table) {
  const cell = c => '"' + c.textContent.trim().replace(/"/g, '""') + '"';
  return [...table.rows].map(r => [...r.children].map(cell).join(",")).join("\r\n");
}
function png(part) {
  redraw();
  const canvas = $("canvas", part);
  if (canvas) return save(part.id + ".png", canvas.toDataURL("image/png"));
  const svg = $("svg", part), copy = svg.cloneNode(true), from = $$("*", svg);
  $$("*", copy).forEach((node, i) => {
    const style = getComputedStyle(from[i]);
    for (const key of ["fill", "stroke", "font-size", "opacity", "stroke-dasharray"]) node.style[key] = style[key];
  });
  const box = svg.viewBox.baseVal, image = new Image();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", box.width); copy.setAttribute("height", box.height);
  image.onload = () => {
    const out = document.createElement("canvas");
    out.width = 2 * box.width; out.height = 2 * box.height;
    const g = out.getContext("2d");
    g.fillStyle = css("--card"); g.fillRect(0, 0, out.width, out.height);
    g.drawImage(image, 0, 0, out.width, out.height);
    save(part.id + ".png", out.toDataURL("image/png"));
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy));
}
for (const button of $$("button[data-csv]")) button.onclick = () =>
  save(button.closest("section").id + ".csv", "data:text/csv;charset=utf-8," + encodeURIComponent(csv($("table", button.closest("section")))));
for (const button of $$("button[data-png]")) button.onclick = () => png(button.closest("section"));
for (const button of $$("button[data-copy]")) button.onclick = async () => {
  const text = button.parentNode.querySelector("pre").textContent;
  try { await navigator.clipboard.writeText(text); } catch {
    const area = document.createElement("textarea");
    area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
  }
  button.textContent = "copied";
};

// --- a core of the mesh: what it holds and does
function showCore(run, core) {
  const article = $(`article[data-run="${run}"]`), facts = data[run].cores.find(c => c.core === core), box = $(".core", article);
  $$("[data-core]", article).forEach(r => r.classList.toggle("chosen", +r.dataset.core === core));
  if (!facts) { box.innerHTML = `<b>core ${core}</b> holds no neurons`; return; }
  const share = x => x === null || x === undefined ? "unknown" : (100 * x).toPrecision(3) + " %";
  const rows = [
    ["router", facts.router.join(", ")], ["neurons", `${facts.neurons} (${facts.populations})`],
    ["fullest resource", facts.binding ? `${facts.binding.replace(/_/g, " ")}, ${share(facts.load)} of its limit` : "no limit known"],
    ["neuron updates", facts.updates.toLocaleString("en")], ["spikes", facts.spikes.toLocaleString("en")],
    ["SynOps", facts.synops.toLocaleString("en")],
    ["messages per step, out / in", `${+facts.sent.toPrecision(3)} / ${+facts.received.toPrecision(3)}`],
    ["busy", share(facts.busy)],
    ["wait in the queue, mean / longest", facts.mean_wait_ns === undefined || facts.mean_wait_ns === null ? "no message in the first steps"
      : `${si(facts.mean_wait_ns * 1e-9, "s")} / ${si(facts.longest_wait_ns * 1e-9, "s")}`],
    ["energy of its events, all samples", facts.energy_pj === null ? "unknown" : si(facts.energy_pj * 1e-12, "J")],
  ];
  box.replaceChildren();
  const title = document.createElement("b"), list = document.createElement("dl");
  title.textContent = `core ${core}`;
  for (const [name, value] of rows) {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value; list.append(dt, dd);
  }
  box.append(title, list);
}
for (const rect of $$("[data-core]")) rect.onclick = () => showCore(+rect.closest("article").dataset.run, +rect.dataset.core);

// --- canvases that zoom: wheel or buttons, drag to move, double click for the whole
function canvas(box, draw, height) {
  const element = document.createElement("canvas"), tip = document.createElement("span"), bar = document.createElement("div");
  element.setAttribute("role", "img"); element.setAttribute("aria-label", box.dataset.label);
  bar.className = "bar"; tip.className = "tip";
  const view = {from: 0, to: 1, hover: null};
  const zoom = (factor, at = 0.5) => {
    const middle = view.from + at * (view.to - view.from), span = Math.min(1, Math.max(1e-4, (view.to - view.from) * factor));
    view.from = Math.max(0, Math.min(1 - span, middle - at * span)); view.to = view.from + span;
    paint();
  };
  const paint = () => {
    const ratio = devicePixelRatio || 1, width = box.clientWidth, h = height();
    if (!width) return;
    element.width = width * ratio; element.height = h * ratio; element.style.height = h + "px";
    const g = element.getContext("2d");
    g.scale(ratio, ratio); g.font = "12px system-ui, sans-serif";
    g.fillStyle = css("--card"); g.fillRect(0, 0, width, h);
    draw(g, width, h, view, text => { tip.textContent = text; });
    box.dataset.span = (view.to - view.from).toFixed(4);
  };
  for (const [label, act] of [["zoom in", () => zoom(0.5)], ["zoom out", () => zoom(2)], ["all", () => { view.from = 0; view.to = 1; paint(); }]]) {
    const button = document.createElement("button");
    button.textContent = label; button.onclick = act; bar.append(button);
  }
  element.style.height = height() + "px"; // before it is painted: a printer counts the pages first
  bar.append(tip); box.append(bar, element);
  element.onwheel = e => { if (e.ctrlKey || e.shiftKey) { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : 0.8, e.offsetX / element.clientWidth); } };
  let held = null;
  element.onpointerdown = e => { held = e.offsetX; element.setPointerCapture(e.pointerId); };
  element.onpointerup = () => { held = null; };
  element.onpointermove = e => {
    if (held !== null) {
      const moved = (held - e.offsetX) / element.clientWidth * (view.to - view.from), span = view.to - view.from;
      view.from = Math.max(0, Math.min(1 - span, view.from + moved)); view.to = view.from + span; held = e.offsetX;
    }
    view.hover = [e.offsetX, e.offsetY]; paint();
  };
  element.ondblclick = () => { view.from = 0; view.to = 1; paint(); };
  paint.box = box;
  return {paint, bar};
}
const LEFT = 92;
function axis(g, width, h, low, high, name) {
  g.fillStyle = css("--soft"); g.strokeStyle = css("--line"); g.textAlign = "center";
  const raw = (high - low) / Math.max(2, width / 120), power = 10 ** Math.floor(Math.log10(raw)), step = Math.max(name.whole ? 1 : 0, power * [1, 2, 5, 10].find(m => m * power >= raw));
  for (let t = Math.ceil(low / step) * step; t <= high; t += step) {
    const x = LEFT + (t - low) / (high - low) * (width - LEFT - 8);
    g.beginPath(); g.moveTo(x, 0); g.lineTo(x, h - 30); g.stroke();
    g.fillText(name.format(t), x, h - 16);
  }
  g.fillText(name.text, LEFT + (width - LEFT) / 2, h - 2);
}
function raster(box, r) {
  let chosen = null; // a band, or null for all
  const bands = () => chosen === null ? r.bands : [r.bands[chosen]];
  const made = canvas(box, (g, width, h, view, tell) => {
    const low = view.from * r.steps, high = view.to * r.steps, plot = width - LEFT - 8, tall = h - 34;
    const total = bands().reduce((n, b) => n + Math.max(b.size, 1), 0), at = s => LEFT + (s - low) / (high - low) * plot;
    let y0 = 2; const place = [];
    g.textAlign = "right";
    bands().forEach((b, i) => {
      const high_ = tall * b.size / total;
      g.fillStyle = css(i % 2 ? "--band2" : "--band"); g.fillRect(LEFT, y0, plot, high_);
      g.fillStyle = css("--ink");
      if (high_ > 9) g.fillText(`${b.name.slice(0, 11)} (${b.size})`, LEFT - 6, y0 + high_ / 2 + 4);
      place.push([b, y0, high_]); y0 += high_;
    });
    axis(g, width, h, low, high, {whole: true, format: t => String(+t.toPrecision(6)), text: "chip step"});
    g.fillStyle = css("--chip");
    const w = Math.max(1.5, plot / (high - low) * 0.7);
    let seen = 0;
    for (let i = 0; i < r.step.length; i++) {
      if (r.step[i] < low - 1 || r.step[i] > high) continue;
      for (const [b, y, tallBand] of place) if (r.neuron[i] >= b.first && r.neuron[i] < b.first + b.size) {
        const dot = Math.max(1.2, tallBand / b.size * 0.7);
        g.fillRect(Math.max(LEFT, at(r.step[i])), y + (r.neuron[i] - b.first) / b.size * tallBand, w, dot); seen++;
      }
    }
    g.strokeStyle = css("--gpu"); g.setLineDash([3, 3]);
    for (let s = r.sample_steps; s < r.steps; s += r.sample_steps) if (s > low && s < high && (high - low) / r.sample_steps < 60) {
      g.beginPath(); g.moveTo(at(s), 0); g.lineTo(at(s), tall); g.stroke();
    }
    g.setLineDash([]);
    tell(`${seen.toLocaleString("en")} spikes, steps ${Math.floor(low)} to ${Math.ceil(high)}`);
  }, () => Math.min(460, Math.max(190, 3 * bands().reduce((n, b) => n + b.size, 0))));
  const select = document.createElement("select");
  select.setAttribute("aria-label", "layer");
  ["all layers", ...r.bands.map(b => b.name)].forEach((name, i) => select.append(new Option(name, i - 1)));
  select.onchange = () => { chosen = +select.value < 0 ? null : +select.value; made.paint(); };
  made.bar.prepend(select);
  return made.paint;
}
const BINDS = ["neurons", "packets out", "packets in", "synapses", "heaviest link", "barrier"];
function timeline(box, t) {
  const end = t.release_ns.at(-1) + t.step_ns.at(-1), row = 13;
  const made = canvas(box, (g, width, h, view, tell) => {
    const low = view.from * end, high = view.to * end, plot = width - LEFT - 8, at = x => LEFT + (x - low) / (high - low) * plot;
    axis(g, width, h, low, high, {whole: false, format: x => si(x * 1e-9, "s"), text: "simulated time"});
    let said = "";
    const [hx, hy] = view.hover || [-1, -1];
    g.save(); g.beginPath(); g.rect(LEFT, 0, plot, h - 30); g.clip();
    t.release_ns.forEach((x, s) => {
      const x0 = at(x), w = at(x + t.step_ns[s]) - x0;
      g.fillStyle = css("--bind" + BINDS.indexOf(t.binds[s])); g.fillRect(x0, 1, Math.max(1, w - 1), 12);
      if (hx >= x0 && hx < x0 + w) said = `step ${s}: ${si(t.step_ns[s] * 1e-9, "s")}, bound by ${t.binds[s]}`;
    });
    for (const b of t.bars) {
      const x0 = at(b.start), x1 = at(b.end), y = 18 + b.row * row;
      if (x1 < LEFT || x0 > width) continue;
      g.fillStyle = css(t.rows[b.row].startsWith("link") ? "--gpu" : "--chip");
      g.fillRect(x0, y, Math.max(1, x1 - x0), row - 3);
      if (hy >= y && hy < y + row && hx >= x0 - 2 && hx <= x1 + 2) said += `; ${t.rows[b.row]} works ${si((b.end - b.start) * 1e-9, "s")}`;
    }
    g.restore();
    g.textAlign = "right"; g.fillStyle = css("--soft"); g.fillText("bound by", LEFT - 6, 11);
    t.rows.forEach((name, i) => g.fillText(name, LEFT - 6, 28 + i * row));
    tell(said || "point at a step or a bar");
  }, () => 18 + t.rows.length * row + 36);
  const key = document.createElement("div");
  key.className = "key";
  for (const name of BINDS.filter(n => t.binds.includes(n))) {
    const span = document.createElement("span"), dot = document.createElement("i");
    dot.style.background = `var(--bind${BINDS.indexOf(name)})`; span.append(dot, `${name} (${t.binds.filter(b => b === name).length} of ${t.binds.length} steps)`);
    key.append(span);
  }
  box.prepend(key);
  return made.paint;
}

const paints = [];
function redraw() { paints.forEach(paint => paint()); }
for (const article of $$("article")) {
  const run = data[+article.dataset.run], r = $(".raster", article), t = $(".timeline", article);
  if (r) paints.push(raster(r, run.raster));
  if (t && run.timeline) paints.push(timeline(t, run.timeline));
  const busiest = run.cores.reduce((a, b) => !a || (b.energy_pj || 0) > (a.energy_pj || 0) ? b : a, null);
  if (busiest && $(".core", article)) showCore(+article.dataset.run, busiest.core);
}

// --- two runs: one of them, or side by side
for (const button of $$("button[data-show]")) button.onclick = () => {
  document.body.dataset.show = button.dataset.show;
  $$("button[data-show]").forEach(b => b.setAttribute("aria-pressed", b === button));
  redraw();
};
addEventListener("resize", redraw);
for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", redraw);
// a drawing is first painted when it comes into view
const seen_ = new IntersectionObserver(entries => entries.filter(e => e.isIntersecting).forEach(e => {
  seen_.unobserve(e.target); e.target.paint();
}), {rootMargin: "200px"});
for (const paint of paints) { paint.box.paint = paint; seen_.observe(paint.box); }
