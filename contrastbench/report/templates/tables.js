// Sorting by a column's header, filtering by words, verdict and scale.
function sortTable(button) {
  const header = button.closest("th");
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const numeric = button.dataset.sort === "number";
  const order = header.getAttribute("aria-sort") === (numeric ? "descending" : "ascending") ? -1 : 1;
  for (const other of header.parentNode.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  const ascending = (order === 1) !== numeric;  // numbers start with the largest, words with the first
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [sortKey(row.cells[column], numeric), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);  // what is missing comes last either way
    return (a < b ? -1 : a > b ? 1 : 0) * (ascending ? 1 : -1);
  });
  body.append(...keyed.map(([, row]) => row));
}

function sortKey(cell, numeric) {
  if (!numeric) return cell.textContent.trim().toLowerCase();
  return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
}

function filterCells() {
  const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kinds = new Set([...document.querySelectorAll(".toggle[aria-pressed=true]")].map((button) => button.dataset.kind));
  const scale = document.getElementById("scale")?.value || "";
  let shown = 0;
  for (const section of document.querySelectorAll("section.table")) {
    const fits = !scale || section.dataset.scale === scale;
    const rows = [...section.querySelectorAll("tbody tr")];
    const counts = rows.map((row) => (fits ? filterRow(row, section, words, kinds) : 0));
    const found = counts.reduce((sum, count) => sum + count, 0);
    section.hidden = found === 0;
    shown += found;
  }
  for (const paper of document.querySelectorAll("section.paper")) {
    const tables = [...paper.querySelectorAll("section.table")];
    paper.hidden = tables.length > 0 && tables.every((table) => table.hidden);
  }
  document.getElementById("shown").textContent = `${shown} cell${shown === 1 ? "" : "s"}`;
  document.getElementById("nothing").hidden = shown > 0;
}

function filterRow(row, section, words, kinds) {
  const headers = section.querySelectorAll("thead th");
  const place = `${section.dataset.words} ${row.cells[0].textContent}`.toLowerCase();
  const grid = section.querySelector("table").classList.contains("grid");
  let shown = 0;
  for (const cell of row.querySelectorAll("td[data-kind]")) {
    const text = grid ? `${place} ${headers[cell.cellIndex].textContent}`.toLowerCase() : place;
    const fits = kinds.has(cell.dataset.kind) && words.every((word) => text.includes(word));
    if (grid) cell.classList.toggle("dim", !fits);
    shown += fits;
  }
  row.hidden = shown === 0;
  return shown;
}

document.addEventListener("click", (event) => {
  const sort = event.target.closest(".sort");
  if (sort) sortTable(sort);
  const toggle = event.target.closest(".toggle");
  if (toggle) {
    toggle.setAttribute("aria-pressed", toggle.getAttribute("aria-pressed") !== "true");
    filterCells();
  }
});
document.getElementById("search").addEventListener("input", filterCells);
document.getElementById("scale")?.addEventListener("change", filterCells);
document.getElementById("reset").addEventListener("click", () => {
  document.getElementById("search").value = "";
  if (document.getElementById("scale")) document.getElementById("scale").value = "";
  for (const button of document.querySelectorAll(".toggle")) button.setAttribute("aria-pressed", "true");
  filterCells();
});
filterCells();
