"""The style sheet of the HTML report: no fonts, no pictures, no colour without a second sign."""

CSS = """
:root { color-scheme: light dark;
  --paper: #ffffff; --card: #f6f7f8; --ink: #1b1f24; --soft: #57606a; --line: #d5dae0; --link: #0b57b0;
  --bad: #b3261e; --bad-paper: #fdecea; --good: #1a6b3c; --good-paper: #e6f4ea; --unsure: #7a4d00;
  --unsure-paper: #fff4dc; --mark: #fff1b8;
  --p0: #cfe2ff; --p1: #ffd9b3; --p2: #d5efcf; --p3: #ecd3f5; --p4: #cdeef0; --p5: #f7d0dc; --p6: #e8e4bf;
  --p7: #dcdfe6; --cell-ink: #1b1f24; --deviation: #b3261e; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --card: #1d2127; --ink: #e6e9ed; --soft: #a3acb8; --line: #343b45; --link: #8ab8ff;
  --bad: #ff9a90; --bad-paper: #3a1c1a; --good: #86d6a2; --good-paper: #16301f; --unsure: #f2c46d;
  --unsure-paper: #33280f; --mark: #5a4a00;
  --p0: #27446f; --p1: #6b431c; --p2: #2b5426; --p3: #543263; --p4: #1e5357; --p5: #66303f; --p6: #524d22;
  --p7: #414853; --cell-ink: #f0f2f5; --deviation: #ffb3ab; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .6rem 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; }
h3 { font-size: 1.05rem; margin: 0 0 .7rem; }
h4 { font-size: .8rem; font-weight: 600; margin: 0 0 .3rem; color: var(--soft); }
p { margin: .5rem 0; overflow-wrap: anywhere; } ul { margin: .4rem 0; padding-left: 1.2rem; }
.soft { color: var(--soft); } .small { font-size: .875rem; }
code, pre, .request { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .875em; }
code { overflow-wrap: anywhere; }
pre { margin: 0; padding: .6rem .75rem; background: var(--paper); border: 1px solid var(--line); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 22rem; overflow: auto; }
mark { background: var(--mark); color: inherit; border-radius: 2px; }
.verdict { display: inline-block; padding: .15rem .7rem; border-radius: 999px; font-weight: 600; }
.stateful { color: var(--bad); background: var(--bad-paper); }
.no_difference { color: var(--good); background: var(--good-paper); }
.not_judged, .known { color: var(--unsure); background: var(--unsure-paper); }
article { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem;
  margin: 0 0 1rem; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; }
th, td { padding: .3rem .8rem .3rem 0; vertical-align: top; }
.story { margin: 0 0 .8rem; } .story td, .story th { border-bottom: 1px solid var(--line); padding-right: 1rem; }
.story .request { overflow-wrap: anywhere; } .story .on { text-align: center; padding-right: 0; min-width: 6rem; }
.dot { display: inline-block; width: 1.6em; border-radius: 999px; color: var(--cell-ink); font-size: .8rem;
  font-weight: 600; text-align: center; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; margin: .8rem 0; }
.sides > div { min-width: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .8rem 0 0; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--card);
  padding: .6rem; }
svg { display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .inside { font-size: 11px; fill: var(--cell-ink); text-anchor: middle; } svg .axis { fill: var(--soft); }
svg .axis.middle { text-anchor: middle; }
.p0 { fill: var(--p0); background: var(--p0); } .p1 { fill: var(--p1); background: var(--p1); }
.p2 { fill: var(--p2); background: var(--p2); } .p3 { fill: var(--p3); background: var(--p3); }
.p4 { fill: var(--p4); background: var(--p4); } .p5 { fill: var(--p5); background: var(--p5); }
.p6 { fill: var(--p6); background: var(--p6); } .p7 { fill: var(--p7); background: var(--p7); }
.none { fill: none; stroke: var(--line); }
.deviates { fill: none; stroke: var(--deviation); stroke-width: 2.5; }
.wide { width: 100%; } .wide td, .wide th { border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.wide td:first-child { width: 60%; } .number { text-align: right; white-space: nowrap; width: 1%; }
.bar { display: block; width: 7rem; max-width: 24vw; height: .6rem; margin-top: .45rem; background: var(--line);
  border-radius: 999px; overflow: hidden; }
.bar > span { display: block; height: 100%; background: var(--good); }
@media (max-width: 40rem) { .sides { grid-template-columns: 1fr; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .4rem; } .story .on { min-width: 2.6rem; } .long { display: none; } h1 { font-size: 1.3rem; } }
@media print { .scroll, pre { overflow: visible; max-height: none; } article { break-inside: avoid; } }
"""
