// A cell opened: its verdict, its seeds, its settings, its command and the logs of what failed.
const dialog = document.getElementById("details");

document.addEventListener("click", (event) => {
  const button = event.target.closest(".open");
  if (button) openCell(DATA.cells[Number(button.dataset.cell)]);
  if (event.target === dialog) dialog.close();
});

function openCell(cell) {
  const sheet = dialog.querySelector(".sheet"), [paper, table, scale, variant, protocol, metric] = DATA.places[cell.place];
  sheet.replaceChildren(
    element("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "×"),
    element("h2", { id: "details-title" }, cell.name),
    element("p", { class: "meta" }, `${paper} · ${table} · ${scale} scale · ${metric} · ${variant}, ${protocol} protocol`),
    verdictLine(cell),
    seedPlot(cell),
    heading("Side by side"), sideBySide(cell),
    heading("Command"), command(commandOf([paper, table, cell.cell].join("/"), scale)),
    ...seedTable(cell, metric),
    ...failures(cell),
    heading("Config"), config(cell),
  );
  dialog.showModal();
  sheet.scrollTop = 0;
}

const heading = (text) => element("h3", {}, text);

function verdictLine(cell) {
  const [kind, reason, interval, difference, sign] = cell.verdict;
  const chip = element("span", { class: `chip ${kind.replace(" ", "-")}` }, `${sign} ${kind}`);
  const numbers = interval ? ` Ours minus published: ${short(difference)}, 95 % interval ${short(interval[0])} to ${short(interval[1])}.` : "";
  const others = (cell.others || []).map(([text, kind, why]) => ` Against ${text}: ${kind} (${why}).`).join("");
  return element("p", { class: "reason" }, chip, ` ${reason}.${numbers}${others}`);
}

function sideBySide(cell) {
  const rows = (cell.published || []).map((number) => [
    "published", number.text, number.n ?? "", number.kind ? `spread over ${number.kind}` : "",
    [...number.from, number.margin ? `margin ${number.margin}` : ""].filter(Boolean).join("; "),
  ]);
  for (const place of ["shipped", "here"]) {
    const sample = cell[place];
    if (!sample) { rows.push([place, "–", "0", "", ""]); continue; }
    const spread = !sample.sd ? "" : ` ± ${short(sample.sd)}`;
    const interval = sample.interval ? `95 % interval ${short(sample.interval[0])} to ${short(sample.interval[1])}` : "";
    const trouble = [sample.failures ? `${sample.failures} failed` : "", sample.missing ? `${sample.missing} missing` : ""];
    rows.push([place, sample.mean === null ? "–" : short(sample.mean) + spread, sample.seeds.length, interval, trouble.filter(Boolean).join(", ")]);
  }
  return grid(["", "value", "n", "spread", "where"], rows);
}

function grid(headers, rows, kind = "") {
  const head = element("tr", {}, ...headers.map((text) => element("th", { scope: "col" }, text)));
  const lines = rows.map((row) => element("tr", {}, ...row.map((text) => element("td", {}, String(text)))));
  const table = element("table", { class: kind }, element("thead", {}, head), element("tbody", {}, ...lines));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": headers.filter(Boolean).join(", ") }, table);
}

function commandOf(target, scale) {
  const quoted = /^[\w@%+=:,./-]+$/.test(target) ? target : `'${target.replaceAll("'", `'"'"'`)}'`;
  return `contrastbench run ${quoted} --scale ${scale}`;
}

function command(text) {
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", () => {
    navigator.clipboard?.writeText(text).then(() => { button.textContent = "Copied"; }, () => { button.textContent = "Select and copy"; });
  });
  return element("div", { class: "command" }, element("code", {}, text), button);
}

function seedTable(cell, metric) {
  const rows = ["here", "shipped"].flatMap((place) => (cell[place]?.seeds || []).map(([seed, value, key, seconds]) => [place, seed, short(value), key, `${short(seconds)} s`]));
  if (!rows.length) return [];
  const origins = [...new Set(["here", "shipped"].flatMap((place) => (cell[place]?.seeds || []).map((seed) => seed[4])))];
  return [heading("Seeds"), grid(["", "seed", metric, "run", "time"], rows, "seedtable"), ...origins.map((origin) => element("p", { class: "meta" }, DATA.origins[origin]))];
}

function failures(cell) {
  const made = [];
  for (const place of ["here", "shipped"]) {
    for (const [seed, status, key, message, log] of cell[place]?.failed || []) {
      made.push(element("p", { class: "reason" }, element("b", { class: "differs" }, status), ` ${place}, seed ${seed}, run ${key}: ${message}`));
      if (log) made.push(element("pre", { tabindex: "0", "aria-label": "last lines of the log" }, log));
    }
  }
  return made.length ? [heading("Runs that did not finish"), ...made] : [];
}

function config(cell) {
  const all = { ...cell.settings, ...DATA.configs[cell.config] };
  return element("dl", { class: "config" }, ...Object.entries(all).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value)))));
}

// One line a place: published with its spread, shipped and here with seeds and interval, on one axis.
function seedPlot(cell) {
  const lines = [];
  for (const number of cell.published || []) lines.push({ name: "published", mean: number.value, interval: number.spread ? [number.value - number.spread, number.value + number.spread] : null, seeds: [], published: true });
  for (const place of ["shipped", "here"]) if (cell[place]?.seeds.length) lines.push({ name: place, mean: cell[place].mean, interval: cell[place].interval, seeds: cell[place].seeds.map((seed) => seed[1]) });
  const values = lines.flatMap((line) => [line.mean, ...(line.interval || []), ...line.seeds]);
  if (!values.length) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.05 || Math.abs(high) * 0.01 || 1;
  const width = Math.min(740, innerWidth - 80);  // what a phone's dialog has inside its padding
  const x = (value) => 80 + ((width - 100) * (value - low + pad)) / (high - low + 2 * pad);
  const bottom = 14 + lines.length * 24;
  const picture = drawn("svg", { class: "seedplot", viewBox: `0 0 ${width} ${bottom + 22}`, "aria-hidden": "true" });
  for (const tick of ticks(low - pad, high + pad, width / 110)) {
    picture.append(drawn("path", { d: `M${x(tick)} 4V${bottom}`, stroke: "var(--line)" }), drawn("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle" }, String(tick)));
  }
  lines.forEach((line, place) => {
    const y = 18 + place * 24;
    picture.append(drawn("text", { x: 70, y: y + 4, "text-anchor": "end" }, line.name));
    const colour = line.published ? "var(--soft)" : "var(--accent)";
    if (line.interval) picture.append(drawn("path", { d: `M${x(line.interval[0])} ${y}H${x(line.interval[1])}`, stroke: colour, "stroke-width": line.published ? 1.5 : 6, opacity: line.published ? 1 : 0.3 }));
    for (const value of line.seeds) picture.append(drawn("circle", { cx: x(value), cy: y, r: 3, fill: colour, opacity: 0.5 }));
    picture.append(line.published
      ? drawn("path", { d: `M${x(line.mean)} ${y - 6}l6 6l-6 6l-6 -6z`, fill: "var(--card)", stroke: "var(--ink)" })
      : drawn("path", { d: `M${x(line.mean)} ${y - 7}v14`, stroke: colour, "stroke-width": 2.5 }));
  });
  return picture;
}

// The small picture in a cell: seeds as dots, the 95 % interval as a bar, the published number as a diamond. Those of
// one column and data set share an axis.
function drawStrips() {
  const best = (cell) => (cell.here?.seeds.length ? cell.here : cell.shipped), axes = [];
  const seeds = (sample) => (sample?.seeds || []).map((seed) => seed[1]);
  for (const cell of DATA.cells) {
    const values = [...seeds(cell.here), ...seeds(cell.shipped), ...(best(cell)?.interval || []), cell.judged];
    (axes[cell.axis] ??= []).push(...values.filter((value) => value !== undefined));
  }
  const ends = axes.map((values) => [Math.min(...values), Math.max(...values)]);
  for (const strip of document.querySelectorAll(".strip")) {
    const cell = DATA.cells[Number(strip.dataset.cell)], sample = best(cell), [low, high] = ends[cell.axis];
    const x = (value) => (high > low ? 5 + (106 * (value - low)) / (high - low) : 58);
    const [from, to] = (sample?.interval || []).map(x);
    if (sample?.interval) strip.append(drawn("path", { class: "interval", d: `M${from} 8H${Math.max(to, from + 1)}` }));
    strip.append(drawn("path", { class: "seeds", d: seeds(sample).map((value) => `M${x(value)} 8h0`).join("") }));
    if (sample?.seeds.length) strip.append(drawn("circle", { class: "centre", cx: x(sample.mean), cy: 8, r: 3 }));
    if (cell.judged !== undefined) strip.append(drawn("path", { class: "printed", d: `M${x(cell.judged)} 2l5 6l-5 6l-5 -6z` }));
  }
}
drawStrips();
