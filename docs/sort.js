// Tables within `.sortable` are sorted by a click on a heading; a second click turns the order round.
for (const table of document.querySelectorAll(".sortable table")) {
  const headings = table.querySelectorAll("thead th");
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
      rows.sort(([a], [b]) => compare(a, b, order === "ascending" ? 1 : -1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

// "1,234", ".909" and "5.40 G" are numbers; null: not measured.
function value(cell) {
  const text = cell.textContent.trim();
  const number = parseFloat(text.replaceAll(",", ""));
  if (text === "–") return null;
  return Number.isNaN(number) ? text : number;
}

// What was not measured comes last in both orders.
function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (typeof a === "number" ? a - b : a.localeCompare(b));
}
