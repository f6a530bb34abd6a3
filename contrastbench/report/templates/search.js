// The search answers below its box: claims first, then lines of tables, each a link to where it stands.
const MOST_ANSWERS = 30;

document.getElementById("search").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => words.length && words.every((word) => text.toLowerCase().includes(word));
  const claims = [...document.querySelectorAll(".claims tr")].filter((row) => fits(row.textContent));
  const lines = DATA.filter(([, name]) => fits(name));
  const answers = [
    ...claims.map((row) => answer(row.querySelector("a")?.href, `${row.cells[0].textContent.trim()}: ${row.cells[1].textContent.trim()}`, row.cells[2].textContent.trim())),
    ...lines.map(([address, name, numbers]) => answer(address, name, numbers)),
  ];
  const left = answers.length - MOST_ANSWERS;
  if (left > 0) answers.splice(MOST_ANSWERS, left, element("li", {}, `and ${left} more; another word says which`));
  if (words.length && !answers.length) answers.push(element("li", {}, "nothing of that name was measured"));
  document.getElementById("answers").replaceChildren(...answers);
});

function answer(address, name, text) {
  return element("li", {}, address ? element("a", { href: address }, name) : name, " ", element("small", {}, text));
}
