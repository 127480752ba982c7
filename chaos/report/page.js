// The page says everything without this script: it adds a line that follows the
// pointer with its time, opens what a link points at, copies a command by a click, and
// sorts a table by a click on the head of a column.
"use strict";
for (const svg of document.querySelectorAll("svg[data-ms]")) {
  const cross = svg.querySelector(".cross"), label = svg.querySelector(".now");
  const left = +svg.dataset.left, right = +svg.dataset.right, ms = +svg.dataset.ms;
  svg.addEventListener("mousemove", (e) => {
    const x = e.offsetX * svg.viewBox.baseVal.width / svg.clientWidth;
    const inside = x >= left && x <= right;
    cross.style.visibility = inside ? "visible" : "hidden";
    label.textContent = inside ? ((x - left) / (right - left) * ms / 1000).toFixed(2) + " s" : "";
    cross.setAttribute("x1", x);
    cross.setAttribute("x2", x);
    label.setAttribute("x", x + 4);
  });
  svg.addEventListener("mouseleave", () => { cross.style.visibility = "hidden"; label.textContent = ""; });
}
const open = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  const inner = target.querySelector("details");
  if (inner) inner.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", open);
open();
for (const code of document.querySelectorAll(".repro code")) {
  code.title = "click to copy";
  code.addEventListener("click", () => navigator.clipboard && navigator.clipboard.writeText(code.textContent));
}

const value = (cell) => {
  const text = cell.textContent.trim(), m = /^(-?[\d,.]+) ?(s|ms|µs)?/.exec(text);
  return m ? +m[1].replaceAll(",", "") * ({ s: 1e6, ms: 1e3, "µs": 1 }[m[2]] || 1) : text === "-" || text === "" ? -1 : text;
};
const order = (a, b) => typeof a === "number" && typeof b === "number" ? b - a : String(a).localeCompare(String(b), "en", { numeric: true });
for (const head of document.querySelectorAll("table.sort thead th")) {
  head.title = "click to sort";
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0], column = head.cellIndex, way = head.dataset.way === "1" ? -1 : 1;
    for (const other of head.parentElement.cells) delete other.dataset.way;
    head.dataset.way = way;
    const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
    rows.sort((a, b) => way * order(a[0], b[0]));
    body.append(...rows.map((r) => r[1]));
  });
}
