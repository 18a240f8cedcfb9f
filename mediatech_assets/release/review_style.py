"""How a review page looks.

What belongs here: its style sheet. What does not: anything that a page says.

Colours have a contrast of at least 4.5 with their ground in both schemes; nothing is said by colour alone. On a
narrow screen rows of tables become blocks, so that nothing has to be scrolled sideways.
"""

STYLE = """
:root { color-scheme: light dark;
  --ground: #ffffff; --panel: #f5f6f9; --ink: #1c1e26; --soft: #565c6b; --line: #d5d8e0; --link: #0a53be;
  --good: #18753c; --bad: #b3261e; --careful: #8a5300; --ins: #d9f2df; --ins-ink: #0c4a22;
  --del: #fbe0de; --del-ink: #7d1a14; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #15171d; --panel: #1e212a; --ink: #e6e8ee; --soft: #a5acbb; --line: #3a3f4c; --link: #8ab4f8;
  --good: #6fd08c; --bad: #ff9d94; --careful: #f0b860; --ins: #143a22; --ins-ink: #b5f0c5;
  --del: #4a1d1a; --del-ink: #ffc9c4; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 82rem; padding: 1.5rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Liberation Sans", sans-serif;
  overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .table:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; }
header { border-bottom: 1px solid var(--line); margin-bottom: 1.5rem; }
header .kind { margin: 0; color: var(--soft); font-size: .9rem; }
h1 { font-size: clamp(1.4rem, 1rem + 2vw, 2rem); line-height: 1.25; margin: .1rem 0 .4rem; }
h2 { font-size: 1.35rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; margin: 2.5rem 0 1rem; }
section:first-child h2 { margin-top: 0; }
h3 { font-size: 1.08rem; margin: 1.6rem 0 .6rem; }
h4 { font-size: 1rem; margin: 0; }
p { margin: .6rem 0; max-width: 48rem; }
code, pre { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .875em; }
.columns { display: grid; grid-template-columns: 11.5rem minmax(0, 1fr); gap: 2.5rem; }
nav ol { list-style: none; margin: 0; padding: 0; position: sticky; top: 1rem; font-size: .95rem; }
nav a { display: block; padding: .2rem 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
.notice { border: 1px solid var(--line); border-left: .35rem solid var(--mark); border-radius: .4rem;
  background: var(--panel); padding: .3rem 1rem; margin: 0 0 1.2rem; }
.notice ul { margin: .3rem 0 .6rem; padding-left: 1.2rem; }
.notice.good { --mark: var(--good); } .notice.bad { --mark: var(--bad); } .notice.careful { --mark: var(--careful); }
.notice.bad strong { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.9rem, 1fr)); gap: .75rem; 
  margin: 0 0 1.2rem; }
.tiles div { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.tiles dd { margin: 0; }
.tiles strong { display: block; font-size: 1.5rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: .82rem; display: block; line-height: 1.35; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1.2rem; margin: 1rem 0; }
.facts dt, .commands dt { color: var(--soft); }
.facts dd, .commands dd { margin: 0; }
.count { color: var(--soft); font-weight: normal; }
.table { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .7rem; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; background: var(--panel); white-space: nowrap; }
td { overflow-wrap: anywhere; min-width: 7rem; }
td .name { overflow-wrap: break-word; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.change { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem 1rem; margin: .9rem 0; }
.change td:nth-child(n+2) { width: 43%; }
.change .meta { margin: .1rem 0 .6rem; color: var(--soft); font-size: .9rem; }
.diff { background: var(--panel); border-radius: .3rem; padding: .2rem .9rem; }
.diff p, .value { white-space: pre-wrap; unicode-bidi: isolate; max-width: none; }
.diff p + p { border-top: 1px dashed var(--line); padding-top: .6rem; }
ins { background: var(--ins); color: var(--ins-ink); text-decoration: underline; text-underline-offset: .15em; }
del { background: var(--del); color: var(--del-ink); text-decoration: line-through; }
ins, del { border-radius: .15rem; padding: 0 .1em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.omitted, .none, .more { color: var(--soft); }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--link); padding: .2rem 0; }
.ids { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem .6rem; padding: 0; margin: .6rem 0; }
.outcome { font-weight: 600; white-space: nowrap; }
.outcome.good { color: var(--good); } .outcome.bad { color: var(--bad); }
figure { margin: .6rem 0 1rem; }
figcaption { color: var(--soft); font-size: .9rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 2rem; }
.plot svg { display: block; width: 100%; height: auto; max-width: 40rem; }
.plot svg * { stroke-linejoin: round; }
.lineage { display: block; width: 100%; height: auto; }
.lineage rect { fill: var(--panel); stroke: var(--line); }
.lineage text { fill: var(--ink); }
.lineage .step { font: 600 16px system-ui, "Segoe UI", "Noto Sans", "Liberation Sans", sans-serif; }
.lineage .fact { font: 13px ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.lineage .arrow { stroke: var(--soft); stroke-width: 2; fill: none; }
.lineage .head { fill: var(--soft); }
.narrow { display: none; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .3rem; padding: .55rem .8rem;
  margin: .3rem 0 .9rem; white-space: pre-wrap; }
@media (max-width: 60rem) {
  .columns { display: block; }
  nav { border-bottom: 1px solid var(--line); margin-bottom: 1.5rem; padding-bottom: .8rem; }
  nav ol { position: static; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; }
  .wide { display: none; } .narrow { display: block; }
}
@media (max-width: 40rem) {
  body { padding: 1rem .9rem 3rem; }
  .facts { display: block; } .facts dd { margin-bottom: .6rem; }
  table, tbody, tr, td { display: block; width: 100%; }
  thead { position: absolute; left: -100rem; }
  tr { border: 1px solid var(--line); border-radius: .4rem; margin-bottom: .7rem; padding: .3rem 0; }
  td, td.number { border: 0; text-align: left; padding: .2rem .8rem; }
  .change td:nth-child(n+2) { width: 100%; }
  td::before { content: attr(data-label); display: block; color: var(--soft); font-size: .8rem; }
  .change { padding: .7rem .8rem; }
}
@media print { nav, .skip { display: none; } .columns { display: block; } }
"""
