#include "tools/fp16_check/html_page.h"

namespace halftone {

absl::string_view PageStyle() {
  return R"css(
:root {
  color-scheme: light dark;
  --page: #f7f8fa; --card: #ffffff; --ink: #1b2430; --faint: #5c6876; --line: #dde2e8; --hover: #f0f4f9;
  --good: #176f43; --warning: #8a5a00; --bad: #b3261e;
  --good-back: #e3f4ea; --warning-back: #fdf0d5; --bad-back: #fde7e5;
  --bar: #34465c; --zone-normal: #cfe8d8; --zone-subnormal: #fbe3ae; --zone-zero: #d9dde3; --zone-overflow: #f7c4bf;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --ink: #e4e9f0; --faint: #98a4b3; --line: #2d3642; --hover: #222b37;
    --good: #74d3a0; --warning: #f0bd60; --bad: #ff9a90;
    --good-back: #153326; --warning-back: #3a2c10; --bad-back: #431d1b;
    --bar: #c5d1e0; --zone-normal: #1f4a35; --zone-subnormal: #57430f; --zone-zero: #333c48; --zone-overflow: #682824;
  }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 24px 24px 64px; background: var(--page); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; }
h2 { font-size: 16px; margin: 32px 0 8px; overflow-wrap: anywhere; }
h2 small, .faint { color: var(--faint); font-weight: normal; font-size: 13px; }
p { margin: 4px 0; }
.conclusion { font-size: 16px; margin: 6px 0 18px; max-width: 75em; }
.conclusion::first-letter { text-transform: uppercase; }
.cards { display: flex; flex-wrap: wrap; gap: 14px; margin-bottom: 18px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; min-width: 260px; }
.card b { font-size: 15px; }
.share { display: flex; height: 8px; margin: 8px 0; border-radius: 4px; overflow: hidden; gap: 2px; }
.share i { background: var(--good); }
.share i.warning { background: var(--warning); }
.share i.bad { background: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--faint); font-size: 13px; margin: 12px 0; }
.legend svg { width: 14px; height: 14px; vertical-align: -2px; margin-right: 6px; }
.controls { display: none; gap: 8px; flex-wrap: wrap; align-items: center; margin: 16px 0 0; }
.js .controls { display: flex; }
.controls input, .controls button { font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; padding: 5px 10px; }
.controls input { width: 280px; }
.controls button { cursor: pointer; }
.controls button[aria-pressed=true] { border-color: var(--ink); font-weight: 600; }
:focus-visible { outline: 2px solid #3b82f6; outline-offset: 1px; }
.error { background: var(--bad-back); color: var(--bad); border-radius: 6px; padding: 8px 12px; overflow-wrap: anywhere; }
table { border-collapse: separate; border-spacing: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; width: 100%; font-size: 13px; }
th, td { padding: 4px 6px; text-align: right; white-space: nowrap; vertical-align: middle; }
th.left, td.left { text-align: left; }
td { font-variant-numeric: tabular-nums; border-top: 1px solid var(--line); }
tr.more > td { border-top: 0; }
th { position: sticky; top: 0; background: var(--card); font-size: 12px; color: var(--faint); z-index: 1;
  border-bottom: 1px solid var(--line); white-space: normal; vertical-align: bottom; }
th:first-child { border-top-left-radius: 8px; }
th:last-child { border-top-right-radius: 8px; }
tbody:first-of-type > tr:first-child > td { border-top: 0; }
th:first-child, tr:not(.more) > td:first-child { padding-left: 14px; }
.js th[data-n], .js th[data-t] { cursor: pointer; user-select: none; }
th[aria-sort=descending]::after { content: " \25BC"; }
th[aria-sort=ascending]::after { content: " \25B2"; }
tfoot td { font-weight: 600; }
td.name { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12.5px; white-space: normal;
  overflow-wrap: anywhere; min-width: 16em; width: 100%; }
td.name button { all: unset; cursor: pointer; display: flex; }
td.name button:focus-visible { outline: 2px solid #3b82f6; }
td.name button::before { content: "\25B8"; color: var(--faint); flex: none; width: 1.3em; }
td.name button[aria-expanded=true]::before { content: "\25BE"; }
tbody.tensor:hover > tr:not(.chart) > td { background: var(--hover); }
tbody.skipped td { color: var(--faint); }
td.hot { color: var(--bad); font-weight: 600; }
td.verdict { text-align: left; white-space: normal; min-width: 14em; }
td.none { color: var(--faint); opacity: .7; }
sup { font-size: .75em; line-height: 0; }
.badge { display: inline-block; border-radius: 5px; padding: 1px 7px; }
.badge.good { background: var(--good-back); color: var(--good); }
.badge.warning { background: var(--warning-back); color: var(--warning); }
.badge.bad { background: var(--bad-back); color: var(--bad); }
.spark { width: 112px; height: 24px; display: block; }
tr.chart > td { text-align: left; white-space: normal; border-top: 0; padding: 0 14px 4px; }
.js tr.chart:not(.open) { display: none; }
.js tr.chart summary { display: none; }
tr.chart summary { color: var(--faint); font-size: 12px; cursor: pointer; }
svg.chart { width: 100%; max-width: 1100px; display: block; margin: 6px 0; }
.chart text { font-size: 11px; fill: var(--ink); }
.chart tspan { font-size: 8.5px; }
.bar { fill: var(--bar); }
svg.chart .bar:hover { opacity: .65; }
.axis { stroke: var(--faint); fill: none; }
.grid { stroke: var(--line); fill: none; }
.zone-normal { fill: var(--zone-normal); } .zone-subnormal { fill: var(--zone-subnormal); }
.zone-zero { fill: var(--zone-zero); } .zone-overflow { fill: var(--zone-overflow); }
[hidden] { display: none !important; }
@media print { body { padding: 0; } .controls { display: none !important; } th { position: static; } }
)css";
}

absl::string_view PageScript() {
  return R"js(
'use strict';
document.documentElement.classList.add('js');
const tensors = [...document.querySelectorAll('tbody.tensor')];
tensors.forEach((body, order) => {
  body.order = order;
  body.name = body.querySelector('td.name').textContent.toLowerCase();
  body.keys = body.dataset.s ? body.dataset.s.split(' ').map(Number) : [];
  const chart = body.querySelector('tr.chart');
  if (!chart) return;
  const cell = body.querySelector('td.name'), button = document.createElement('button');
  button.textContent = cell.textContent;
  button.setAttribute('aria-expanded', 'false');
  cell.replaceChildren(button);
  body.addEventListener('click', event => {
    if (event.target.closest('tr.chart') || String(getSelection())) return;
    const open = chart.classList.toggle('open');
    chart.querySelector('details').open = open;
    button.setAttribute('aria-expanded', open);
  });
});
// The first click puts the worst on top, the second the best, the third restores the file's order.
document.querySelectorAll('th[data-n], th[data-t]').forEach(head => {
  const sort = () => {
    const table = head.closest('table');
    const first = head.dataset.first || 'descending', second = first === 'descending' ? 'ascending' : 'descending';
    const now = head.getAttribute('aria-sort');
    const next = now === first ? second : now === second ? null : first;
    table.querySelectorAll('th[aria-sort]').forEach(h => h.removeAttribute('aria-sort'));
    if (next) head.setAttribute('aria-sort', next);
    const sign = next === 'descending' ? -1 : 1;
    const text = body => body.rows[0].cells[head.dataset.t].textContent;
    const number = body => body.keys[head.dataset.n] ?? NaN;
    const compare = (a, b) => {
      if (!next) return a.order - b.order;
      if (head.dataset.t) return sign * text(a).localeCompare(text(b), undefined, {numeric: true}) || a.order - b.order;
      const x = number(a), y = number(b);
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) || a.order - b.order;
      return x === y ? a.order - b.order : x < y ? -sign : sign;
    };
    const bodies = [...table.tBodies].sort(compare);
    bodies.forEach(body => table.insertBefore(body, table.tFoot));
  };
  head.tabIndex = 0;
  head.addEventListener('click', sort);
  head.addEventListener('keydown', event => {
    if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); sort(); }
  });
});
const box = document.querySelector('.controls input'), shown = document.querySelector('#shown');
const buttons = [...document.querySelectorAll('.controls button')];
const filter = () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(word => word);
  const outcome = buttons.find(button => button.getAttribute('aria-pressed') === 'true').value;
  let count = 0;
  for (const body of tensors) {
    body.hidden = !(words.every(word => body.name.includes(word)) && (!outcome || body.dataset.outcome === outcome));
    count += !body.hidden;
  }
  shown.textContent = count + ' of ' + tensors.length + ' tensors';
};
box.addEventListener('input', filter);
buttons.forEach(button => button.addEventListener('click', () => {
  buttons.forEach(other => other.setAttribute('aria-pressed', other === button));
  filter();
}));
filter();
)js";
}

}  // namespace halftone
