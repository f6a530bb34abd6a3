// Shared by the scripts below: the page's data, and elements made from texts (never from markup).
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 10 ? value.toFixed(2) : size >= 0.001 || size === 0 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

// The theme: the system's, until the reader chooses; kept where the browser allows it.
(function theme() {
  const root = document.documentElement;
  const kept = (() => { try { return localStorage.getItem("contrastbench-theme"); } catch { return null; } })();
  if (kept) root.dataset.theme = kept;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("contrastbench-theme", root.dataset.theme); } catch { /* a page from a file may not */ }
  });
})();

// While runs go on the page reloads itself, but never under an open dialog or a filter in use.
(function reload() {
  const seconds = Number(document.body.dataset.reload);
  if (!seconds) return;
  setInterval(() => {
    if (!document.querySelector("dialog[open]") && !document.getElementById("search").value) location.reload();
  }, seconds * 1000);
})();

// The contents follow the reader: the entry of the section on the screen is marked; on a wide screen they stay open, on
// others a line under the filters names it.
(function contents() {
  const list = document.querySelector(".contents"), wide = matchMedia("(min-width: 106rem)");
  const place = list.querySelector("summary b"), filters = document.querySelector(".filters");
  const fit = () => { list.querySelector("details").open = wide.matches; };
  fit();
  wide.addEventListener("change", fit);
  list.addEventListener("click", (event) => { if (event.target.closest("a") && !wide.matches) list.querySelector("details").open = false; });
  new ResizeObserver(() => {
    const bar = getComputedStyle(filters).position === "sticky" ? filters.offsetHeight : 0;
    document.documentElement.style.setProperty("--bar", `${bar}px`);
  }).observe(filters);
  const links = new Map([...list.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const follow = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
    const current = [...links.keys()].filter((id) => seen.has(id)).pop();
    if (!current) return;
    for (const [id, link] of links) id === current ? link.setAttribute("aria-current", "location") : link.removeAttribute("aria-current");
    const at = links.get(current), inside = at.closest("ol ol");
    place.textContent = (inside ? [inside.parentElement.querySelector("a"), at] : [at]).map((link) => link.textContent).join(" / ");
    const box = list.getBoundingClientRect(), there = at.getBoundingClientRect();
    if (wide.matches && (there.top < box.top || there.bottom > box.bottom)) list.scrollTop += there.top - box.top - box.height / 2;
  }, { rootMargin: "-10% 0px -60% 0px" });
  for (const id of links.keys()) { const section = document.getElementById(id); if (section) follow.observe(section); }
})();
