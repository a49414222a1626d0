// Filters the table of examples. Without this script, the table shows all rows.
"use strict";
const form = document.querySelector("form.search");
if (form) {
  const search = document.getElementById("answers-search");
  const kind = document.getElementById("answers-kind");
  const count = document.getElementById("answers-count");
  const rows = [...document.querySelectorAll("#answers tr[data-kinds]")];
  const groups = document.querySelectorAll("#answers tbody");
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      const match =
        words.every((word) => texts[index].includes(word)) &&
        (!kind.value || row.dataset.kinds.split(" ").includes(kind.value));
      row.hidden = !match;
      shown += match;
    });
    for (const group of groups) {
      group.hidden = !group.querySelector("tr[data-kinds]:not([hidden])");
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", filter);
  kind.addEventListener("change", filter);
  form.hidden = false;
  filter();
}
