// Ablation curves: choose the setting, switch lines on and off, read any point by mouse or keyboard.
for (const figure of document.querySelectorAll(".chart")) new Chart(figure, DATA.charts[Number(figure.dataset.chart)]);

function Chart(figure, data) {
  let axis = data.axes[0];
  let hidden = new Set();
  const legend = element("div", { class: "legend", role: "group", "aria-label": "Lines shown" });
  const holder = element("div", {});
  const tip = element("div", { class: "tip", role: "status", hidden: "" });
  figure.append(legend, holder, tip);
  drawLegend();
  draw();
  let drawnWidth = holder.clientWidth;
  addEventListener("resize", () => { if (holder.clientWidth !== drawnWidth) { drawnWidth = holder.clientWidth; draw(); } });

  function drawLegend() {
    const parts = axis.lines.map((line) => {
      const button = element("button", { type: "button", "aria-pressed": String(!hidden.has(line.name)) },
        element("span", { class: "swatch", style: `background:${line.colour}` }), line.name);
      button.addEventListener("click", () => {
        hidden.has(line.name) ? hidden.delete(line.name) : hidden.add(line.name);
        button.setAttribute("aria-pressed", String(!hidden.has(line.name)));
        draw();
      });
      return button;
    });
    if (data.axes.length > 1) {
      const select = element("select", { "aria-label": "What is drawn" }, ...data.axes.map((other, place) => element("option", { value: place }, `${other.dataset}: ${other.y} over ${other.label}`)));
      select.value = data.axes.indexOf(axis);
      select.addEventListener("change", () => { axis = data.axes[Number(select.value)]; hidden = new Set(); drawLegend(); draw(); });
      parts.unshift(select);
    }
    legend.replaceChildren(...parts, element("span", { class: "meta", style: "margin:0" }, `band: 95 % interval · ◇ published${axis.marks.length ? " · dotted: claimed best" : ""}`));
  }

  function draw() {
    tip.hidden = true;
    const lines = axis.lines.filter((line) => !hidden.has(line.name));
    const width = Math.max(300, Math.min(860, holder.clientWidth || 720));
    const picture = drawn("svg", { viewBox: `0 0 ${width} 330`, width, height: 330, role: "group", "aria-label": `${axis.y} over ${axis.label}` });
    holder.replaceChildren(picture);
    const points = lines.flatMap((line) => line.points);
    const ys = points.flatMap((point) => [point.mean, point.published, ...point.seeds, ...(point.interval || [])]).filter((value) => value !== null);
    if (!ys.length) return;
    const xs = [...new Set(axis.lines.flatMap((line) => line.points.map((point) => point.x)))].sort((a, b) => a - b);
    const x = horizontal(xs, width);
    const [low, high] = [Math.min(...ys), Math.max(...ys)];
    const pad = (high - low) * 0.06 || 1;
    const y = (value) => 285 - (265 * (value - low + pad)) / (high - low + 2 * pad);
    frame(picture, width, xs, x, ticks(low - pad, high + pad, 6), y);
    if (low < 0 && high > 0) picture.append(drawn("path", { class: "frame", d: `M60 ${y(0)}H${width - 10}` }));
    for (const mark of axis.marks.filter((value) => xs.includes(value))) {
      picture.append(drawn("path", { class: "frame", d: `M${x(mark)} 20V289`, "stroke-dasharray": "2 3" }, drawn("title", {}, `claimed best: ${mark}`)));
    }
    for (const line of lines) drawLine(picture, line, x, y);
  }

  // Even steps where the values are uneven: an ablation's 0, 0.25, 0.5, 1, 2, 5 would crowd on a straight axis.
  function horizontal(xs, width) {
    const gaps = xs.slice(1).map((value, i) => value - xs[i]);
    const even = gaps.length && Math.max(...gaps) / Math.min(...gaps) > 3;
    const span = xs[xs.length - 1] - xs[0] || 1;
    return (value) => 60 + (width - 80) * (even ? xs.indexOf(value) / Math.max(1, xs.length - 1) : (value - xs[0]) / span);
  }

  function frame(picture, width, xs, x, levels, y) {
    for (const level of levels) {
      picture.append(drawn("path", { class: "tick", d: `M60 ${y(level)}H${width - 10}` }), drawn("text", { x: 52, y: y(level) + 4, "text-anchor": "end" }, String(level)));
    }
    for (const value of xs) picture.append(drawn("text", { x: x(value), y: 304, "text-anchor": "middle" }, String(value)));
    picture.append(drawn("path", { class: "frame", d: `M60 289H${width - 10}` }), drawn("text", { x: (50 + width) / 2, y: 325, "text-anchor": "middle" }, axis.label), drawn("text", { x: 60, y: 10 }, axis.y));
  }

  function drawLine(picture, line, x, y) {
    const measured = line.points.filter((point) => point.mean !== null);
    const banded = measured.filter((point) => point.interval);
    if (banded.length > 1) {
      const upper = banded.map((point) => `${x(point.x)} ${y(point.interval[1])}`);
      const lower = banded.map((point) => `${x(point.x)} ${y(point.interval[0])}`).reverse();
      picture.append(drawn("path", { d: `M${[...upper, ...lower].join("L")}z`, fill: line.colour, opacity: 0.13 }));
    }
    picture.append(drawn("path", { d: `M${measured.map((point) => `${x(point.x)} ${y(point.mean)}`).join("L")}`, fill: "none", stroke: line.colour, "stroke-width": 2, "stroke-dasharray": ["none", "7 4", "2 3", "9 3 2 3"][line.dash % 4] }));
    for (const point of line.points) drawPoint(picture, line, point, x(point.x), y);
  }

  function drawPoint(picture, line, point, x, y) {
    const lines = [`${line.name}, ${axis.label} = ${point.x}`];
    if (point.mean !== null) lines.push(`mean ${short(point.mean)} over ${point.seeds.length} seed${point.seeds.length === 1 ? "" : "s"}`);
    if (point.interval) lines.push(`95 % interval ${short(point.interval[0])} to ${short(point.interval[1])}`);
    if (point.published !== null) lines.push(`published ${short(point.published)}`);
    const group = drawn("g", { class: "point", tabindex: "0", role: "img", "aria-label": lines.join("; ") });
    for (const value of point.seeds) group.append(drawn("circle", { cx: x, cy: y(value), r: 2.2, fill: line.colour, opacity: 0.45 }));
    if (point.published !== null) group.append(drawn("path", { class: "mark", d: `M${x} ${y(point.published) - 6}l6 6l-6 6l-6 -6z`, fill: "var(--card)", stroke: line.colour, "stroke-width": 1.6 }));
    if (point.mean !== null) group.append(drawn("circle", { class: "mark", cx: x, cy: y(point.mean), r: 4.5, fill: line.colour }));
    const show = () => {
      const [box, around] = [group.getBoundingClientRect(), figure.getBoundingClientRect()];
      tip.textContent = lines.join("\n");
      tip.hidden = false;
      tip.style.top = `${box.top - around.top + 8}px`;
      tip.style.left = `${Math.max(6, Math.min(box.left - around.left + 18, around.width - tip.offsetWidth - 8))}px`;
    };
    group.addEventListener("pointerenter", show);
    group.addEventListener("focus", show);
    group.addEventListener("pointerleave", () => { tip.hidden = true; });
    group.addEventListener("blur", () => { tip.hidden = true; });
    picture.append(group);
  }
}
