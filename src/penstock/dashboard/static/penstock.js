// What pages can do beyond showing: plots, dark and light, keys. Without it every page says the same in tables.
"use strict";

const root = document.documentElement;

function themed() {
  const button = document.getElementById("theme");
  const kept = localStorage.getItem("penstock-theme");
  if (kept) root.dataset.theme = kept;
  button.hidden = false;
  button.addEventListener("click", () => {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme || (isDark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("penstock-theme", root.dataset.theme);
    document.querySelectorAll(".plot").forEach(drawn);
  });
}

function color(name) {
  return getComputedStyle(root).getPropertyValue(name).trim();
}

function amount(unit, value, notation) {
  return unit + value.toLocaleString("en", { maximumSignificantDigits: notation === "compact" ? 3 : 6, notation });
}

// What a plot shows: lines by name (`data-series`), or labels that stand on one another (`stack`, each {label, values}).
function told(figure) {
  const data = JSON.parse(figure.dataset.plot);
  if (!data.stack) {
    const names = figure.dataset.series.split(",");
    return { time: data.time, lines: names.map((name) => ({ label: name, shown: data[name], values: data[name] })) };
  }
  // Each area reaches from the bottom to its own top and is drawn over the one before: the first is the highest.
  const last = data.time.length - 1;
  const time = last < 0 ? [] : [...data.time, data.time[last] + data.step_s];
  const lines = data.stack.map(({ label, values }, place) => {
    const tops = values.map((_, at) => data.stack.slice(place).reduce((sum, one) => sum + one.values[at], 0));
    return { label, values, shown: last < 0 ? [] : [...tops, tops[last]] };
  });
  return { time, lines, isStacked: true };
}

function drawn(figure) {
  const { time, lines, isStacked } = told(figure);
  const unit = figure.dataset.unit || "";
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
  figure.querySelector(".uplot")?.remove();
  const series = lines.map(({ label, values }, place) => {
    const own = color(label === "errors" ? "--bad" : `--plot-${(place % 8) + 1}`);
    return {
      label, stroke: own, width: isStacked ? 1 : 2, fill: isStacked ? own : own + "22", points: { show: isStacked ? false : undefined },
      paths: isStacked ? uPlot.paths.stepped({ align: 1 }) : undefined,
      value: (_, top, __, at) => (top == null ? "" : amount(unit, values[Math.min(at, values.length - 1)], "standard")),
    };
  });
  const options = {
    width: figure.clientWidth - 32, height: 200, series: [{}, ...series],
    axes: [axis, { ...axis, size: 60, values: (_, ticks) => ticks.map((tick) => amount(unit, tick, "compact")) }],
    // One moment alone gets half an hour on each side.
    scales: {
      x: { range: (_, low, high) => (low === high && low != null ? [low - 1800, high + 1800] : [low, high]) },
      y: { range: (_, low, high) => [0, high || 1] },
    },
    cursor: { drag: { x: true, y: false } },
    tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "Etc/UTC"),
    hooks: { setSelect: [(plot) => zoomed(plot)] },
  };
  new uPlot(options, [time, ...lines.map(({ shown }) => shown)], figure);
}

// Drag over a plot to look at that time alone: it becomes part of the address.
function zoomed(plot) {
  const { left, width } = plot.select;
  if (width < 8) return;
  const at = (x) => new Date(plot.posToVal(x, "x") * 1000).toISOString().slice(0, 16) + "Z";
  const address = new URL(location.href);
  address.searchParams.delete("range");
  address.searchParams.set("from", at(left));
  address.searchParams.set("to", at(left + width));
  location.assign(address);
}

// What can be scrolled can be reached by keyboard.
function reachable() {
  document.querySelectorAll("main .scroll, main pre").forEach((one) => {
    if (one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight) one.tabIndex = 0;
  });
}

addEventListener("DOMContentLoaded", () => {
  themed();
  reachable();
  if (typeof uPlot !== "undefined") {
    document.querySelectorAll(".plot").forEach(drawn);
    let waiting;
    addEventListener("resize", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => document.querySelectorAll(".plot").forEach(drawn), 150);
    });
  }
});
