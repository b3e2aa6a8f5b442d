// Numbers in the reader's notation, and tables that sort by a click on a heading. The page reads well without it.
"use strict";
const formats = {};
for (const one of document.querySelectorAll("[data-v]")) {
  const decimals = Number(one.dataset.d);
  formats[decimals] ??= new Intl.NumberFormat(undefined, {minimumFractionDigits: decimals, maximumFractionDigits: decimals});
  one.textContent = formats[decimals].format(Number(one.dataset.v));
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, at) => {
    const cell = row.cells[at];
    return cell.dataset.v !== undefined ? Number(cell.dataset.v) : cell.classList.contains("none") ? null : cell.textContent;
  };
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== (head.classList.contains("n") ? "descending" : "ascending");
      const falling = head.classList.contains("n") ? down : !down;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const order = (a, b) => {
        const [one, other] = [key(a, at), key(b, at)];
        if (one === null || other === null) return (one === null) - (other === null);
        const found = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
        return falling ? -found : found;
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}
