#include "tools/report/page.h"

namespace halftone::report {

absl::string_view ReportPageStyle() {
  return R"css(
:root {
  color-scheme: light dark;
  --page: #f7f8fa; --card: #ffffff; --ink: #1b2430; --faint: #5c6876; --line: #dde2e8; --hover: #f0f4f9;
  --accent: #0a5ca8; --bad: #b3261e; --bad-back: #fde7e5; --warning: #8a5a00; --warning-back: #fdf0d5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --ink: #e4e9f0; --faint: #98a4b3; --line: #2d3642; --hover: #222b37;
    --accent: #7db7f0; --bad: #ff9a90; --bad-back: #431d1b; --warning: #f0bd60; --warning-back: #3a2c10;
  }
  /* gnuplot draws on white: turned to black, which the card shines through. Hues stay. */
  figure img { filter: invert(1) hue-rotate(180deg) brightness(1.2); mix-blend-mode: screen; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 24px 24px 64px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 40px 0 8px; scroll-margin-top: 8px; }
h3 { font-size: 15px; margin: 20px 0 6px; overflow-wrap: anywhere; }
p { margin: 4px 0; max-width: 80ch; overflow-wrap: anywhere; }
.faint, figcaption { color: var(--faint); font-size: 13px; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 12px 0 20px; }
.best { font-size: 17px; font-weight: 600; margin: 2px 0; }
.notice { background: var(--warning-back); color: var(--warning); border-radius: 6px; padding: 8px 12px;
  margin: 6px 0;
  max-width: none; }
.notice.bad { background: var(--bad-back); color: var(--bad); }
.tables { display: flex; flex-wrap: wrap; gap: 0 20px; }
.tables > section { max-width: 100%; }
.scroll { overflow: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: separate; border-spacing: 0; font-size: 13px; }
th, td { padding: 5px 10px; text-align: right; white-space: nowrap; }
th { color: var(--faint); font-weight: 600; font-size: 12px; vertical-align: bottom; }
td { font-variant-numeric: tabular-nums; border-top: 1px solid var(--line); }
th:first-child, td:first-child, .left { text-align: left; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 24ch; text-align: left; }
.still { width: fit-content; max-width: 100%; }
.still th, .still td { padding: 5px 8px; }
.still th:first-child, .still td:first-child { position: sticky; left: 0; background: var(--card); }
.still td:first-child { font-weight: 600; }
.still.wrap td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 14ch; }
figure { margin: 20px 0 28px; }
figure div { padding: 8px; }
figure img { display: block; max-width: max(100%, 720px); height: auto; margin: 0 auto; }
figcaption { margin-top: 6px; max-width: 90ch; }
.controls { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 10px 0; }
.controls input, .controls select, .controls button, dialog button { font: inherit; font-size: 14px;
  color: inherit;
  background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 6px 10px;
  max-width: 100%; }
.controls input { flex: 1 1 240px; max-width: 360px; }
.controls button, dialog button { cursor: pointer; }
:focus-visible { outline: 2px solid #3b82f6; outline-offset: 1px; }
.rows { max-height: min(70vh, 720px); contain: content; }
.rows table { table-layout: fixed; }
.rows th { position: sticky; top: 0; z-index: 1; background: var(--card);
  border-bottom: 1px solid var(--line);
  white-space: normal; padding: 0; }
.rows th button { all: unset; box-sizing: border-box; width: 100%; padding: 6px 10px; cursor: pointer; }
.rows th button:focus-visible { outline: 2px solid #3b82f6; outline-offset: -2px; }
.rows th[aria-sort] { color: var(--ink); }
.rows th[aria-sort=descending] button::after { content: " \25BC"; }
.rows th[aria-sort=ascending] button::after { content: " \25B2"; }
.rows td { height: 30px; padding: 0 10px; border-top: 0; border-bottom: 1px solid var(--line);
  overflow: hidden;
  text-overflow: ellipsis; }
.rows .text { text-align: left; }
.rows tr.space td { padding: 0; border: 0; height: auto; }
.rows tbody tr:not(.space):hover { background: var(--hover); }
.rows tr.open { cursor: pointer; }
.rows td button { all: unset; cursor: pointer; color: var(--accent); }
.rows td button:focus-visible { outline: 2px solid #3b82f6; }
pre { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--card);
  border: 1px solid var(--line);
  border-radius: 8px; padding: 12px; overflow: auto; max-height: 70vh; margin: 8px 0; tab-size: 2; }
summary { cursor: pointer; }
dialog { border: 1px solid var(--line); border-radius: 10px; background: var(--page); color: var(--ink);
  padding: 16px 20px;
  width: min(720px, calc(100vw - 24px)); }
dialog::backdrop { background: rgba(0, 0, 0, .45); }
dialog h3 { margin-top: 0; }
[hidden] { display: none !important; }
@media (max-width: 600px) {
  body { padding: 16px 12px 48px; }
  h1 { font-size: 21px; }
  .controls input, .controls select { flex: 1 1 40%; max-width: none; font-size: 16px; }
}
@media print {
  body { max-width: none; padding: 0; }
  nav, .controls { display: none; }
  figure { break-inside: avoid; }
  figure img { filter: none; mix-blend-mode: normal; max-width: 100%; }
}
)css";
}

}  // namespace halftone::report
