// The page says everything without this script: it adds a line that follows the
// pointer with its time, opens what a link points at, and copies a command by a click.
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
