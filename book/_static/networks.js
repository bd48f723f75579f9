// The page of networks: rows sort, filter and open, and the arrow keys walk through the plots.
// Without this script the page shows the same, in one order, with a part to unfold under each row.
{
  const table = document.querySelector("table.networks");
  const form = document.querySelector(".network-filter");
  const count = document.querySelector(".network-count");
  const rows = [...table.tBodies]; // one for each network: its row, and what opens under it
  const points = [...document.querySelectorAll(".network-point")];

  // Opening: the network's name becomes a button for the part under its row.

  function addButton(row) {
    const details = row.querySelector("details");
    const name = row.querySelector("th code");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-controls", details.id);
    name.replaceWith(button);
    button.append(name);
    const tell = () => button.setAttribute("aria-expanded", details.open);
    button.addEventListener("click", () => { details.open = !details.open; });
    details.addEventListener("toggle", tell);
    tell();
  }

  function openRow() {
    const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!rows.includes(row)) return;
    if (row.hidden) form.reset();
    row.querySelector("details").open = true;
    row.scrollIntoView();
    row.querySelector("button").focus({ preventScroll: true });
  }

  // Sorting: each heading becomes a button. A network without a value stays at the end.

  function value(row, heading) {
    const text = row.rows[0].cells[heading.cellIndex].dataset.value;
    return heading.dataset.sort === "number" && text !== "" ? Number(text) : text;
  }

  function sortBy(heading, direction) {
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const sorted = [...rows].sort((one, other) => {
      const a = value(one, heading), b = value(other, heading);
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (a > b ? 1 : a < b ? -1 : 0);
    });
    table.append(...sorted);
  }

  function addSorting(heading) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const rising = heading.getAttribute("aria-sort") === "ascending";
      sortBy(heading, rising ? "descending" : "ascending");
    });
  }

  // Filtering: rows and points that do not match are hidden, and the number of rows is announced.

  function matches(row) {
    const wanted = form.elements;
    const text = row.querySelector("th[scope=row]").textContent.toLowerCase();
    return text.includes(wanted.text.value.trim().toLowerCase())
      && (!wanted.document.value || row.dataset.document === wanted.document.value)
      && (!wanted.kind.value || row.dataset.kinds.split("|").includes(wanted.kind.value))
      && (!wanted.measured.value || row.dataset.measured === wanted.measured.value);
  }

  function filter() {
    for (const row of rows) row.hidden = !matches(row);
    for (const point of points) {
      const row = document.getElementById(point.getAttribute("href").slice(1));
      point.toggleAttribute("hidden", row.hidden);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = `${shown} of ${rows.length} networks`;
    document.querySelectorAll(".network-plot").forEach(makeReachable);
  }

  // Plots: one point of each can be reached with the Tab key, the others with the arrow keys.

  const visible = (plot) => [...plot.querySelectorAll(".network-point:not([hidden])")];

  function makeReachable(plot, point = visible(plot)[0]) {
    for (const other of plot.querySelectorAll(".network-point")) {
      other.setAttribute("tabindex", other === point ? 0 : -1);
    }
  }

  function walk(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const plot = event.currentTarget, all = visible(plot);
    const next = all[all.indexOf(document.activeElement) + steps[event.key]];
    if (!next) return;
    event.preventDefault();
    makeReachable(plot, next);
    next.focus();
  }

  rows.forEach(addButton);
  [...table.tHead.rows[0].cells].forEach(addSorting);
  table.tHead.rows[0].cells[0].setAttribute("aria-sort", "ascending");
  for (const plot of document.querySelectorAll(".network-plot")) {
    plot.addEventListener("keydown", walk);
    makeReachable(plot);
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    // The fields are empty only after this event.
    setTimeout(() => { filter(); sortBy(table.tHead.rows[0].cells[0], "ascending"); });
  });
  // A second click on the same point is no change of the address.
  for (const point of points) point.addEventListener("click", () => setTimeout(openRow));
  addEventListener("hashchange", openRow);
  form.hidden = false;
  for (const hint of document.querySelectorAll(".network-needs-script")) hint.hidden = false;
  document.querySelector(".networks-tool").classList.add("is-live");
  openRow();
}
