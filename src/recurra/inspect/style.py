"""The report's style: one scale of type, colours that colour-blind eyes tell apart, light and dark.

Series colours are Okabe and Ito's; the heat map runs through one hue's lightness, so that it reads
in grey, too. `before` (the model at initialisation) is dashed or hollow: colour never stands alone.
"""

_LIGHT = (
    "--ink:#1b1f24;--soft:#5a6370;--faint:#e3e6ea;--paper:#fff;--card:#f7f8fa;--link:#0b5cad;"
    "--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#a8478a;--s4:#8a6d00;--s5:#3b9bd4;"
    "--h0:#f4f6fb;--h1:#dfe6f3;--h2:#c3d1ea;--h3:#a2b8de;--h4:#7f9dd0;--h5:#5c80bd;"
    "--h6:#4063a3;--h7:#284785;--h8:#142c63;--warm:213,94,0;"
    "--d0:#8f3d00;--d1:#bf5c14;--d2:#e08e52;--d3:#f3c9a8;--d4:#f4f4f4;--d5:#b9d3ec;--d6:#6fa3d3;"
    "--d7:#2f74b5;--d8:#0b4a86"
)
_DARK = (
    "--ink:#e8eaed;--soft:#a2abb6;--faint:#2f353d;--paper:#14171b;--card:#1c2026;--link:#7db9f5;"
    "--s0:#56b4e9;--s1:#f28e4b;--s2:#33c59b;--s3:#d98cc0;--s4:#d9bb4a;--s5:#9ad0f0;"
    "--h0:#1b2230;--h1:#232f45;--h2:#2c3f60;--h3:#37527f;--h4:#44689f;--h5:#5a84bd;"
    "--h6:#7ba2d5;--h7:#a5c2e7;--h8:#d8e6f8;--warm:242,142,75;"
    "--d0:#ffc79c;--d1:#f29a5c;--d2:#bd6a30;--d3:#6e4227;--d4:#20242a;--d5:#274463;--d6:#3a6fa6;"
    "--d7:#6aa6dd;--d8:#b4daff"
)
STYLE = (
    f":root{{{_LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
    "header,main{max-width:46rem;margin:0 auto;padding:0 1.25rem}"
    "header{padding-top:2.5rem}"
    ".kind{margin:0;color:var(--soft);font-size:.875rem}"
    "h1{font-size:1.75rem;line-height:1.2;margin:.1rem 0 1rem;overflow-wrap:anywhere}"
    "h2{font-size:1.25rem;line-height:1.3;margin:0 0 .25rem}"
    "a{color:var(--link)}"
    "dl.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.5rem,1fr));"
    "gap:.6rem 1rem;margin:0 0 1rem}dl.facts dt{color:var(--soft);font-size:.875rem}"
    "dl.facts dd{margin:0;"
    "font-weight:600}"
    ".notes{color:var(--soft);font-size:.875rem;padding-left:1.1rem}"
    "nav ol{columns:2;column-gap:2rem;padding-left:1.4rem;font-size:.875rem;margin:1rem 0 0}"
    "section{padding:2.2rem 0 .4rem;border-top:1px solid var(--faint);margin-top:2.2rem}"
    "figure{margin:.9rem 0}svg{display:block;width:100%;height:auto}"
    "dl.say{display:grid;grid-template-columns:3rem 1fr;gap:.35rem .8rem;margin:.9rem 0;"
    "padding:.9rem 1rem;background:var(--card);border-radius:.5rem}"
    "dl.say dt{font-weight:600;color:var(--soft)}dl.say dd{margin:0}"
    "figcaption{color:var(--soft);font-size:.875rem;margin-top:.3rem}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.875rem}"
    "th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid var(--faint)}"
    "th:first-child,td:first-child{text-align:left}thead th{color:var(--soft);font-weight:600}"
    ".text{font:15px/1.9 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;"
    "white-space:pre-wrap;overflow-wrap:anywhere;margin:.9rem 0}"
    ".text span{border-radius:2px;background:rgba(var(--warm),var(--a));box-decoration-break:clone}"
    ".tick{font-size:11px;fill:var(--soft)}.name{font-size:12px;fill:var(--ink)}"
    ".grid{stroke:var(--faint)}.axis{stroke:var(--soft)}"
    ".level{stroke:var(--soft);stroke-dasharray:2 3}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}.line.before{stroke-dasharray:5 4;"
    "stroke-width:1.6}"
    + "".join(f".line.s{n}{{stroke:var(--s{n})}}.dots.s{n}{{fill:var(--s{n})}}" for n in range(6))
    + "".join(f".h{n}{{fill:var(--h{n})}}.d{n}{{fill:var(--d{n})}}" for n in range(9))
    + ".dots{fill-opacity:.75}"
    + "".join(
        f".dots.s{n}.before{{fill:none;stroke:var(--s{n});stroke-opacity:.8}}" for n in range(6)
    )
    + ".bar{fill:var(--s0)}.bar.minus{fill:var(--s1)}"
    "@media(max-width:34rem){nav ol{columns:1}}"
    "@media print{section{break-inside:avoid}}"
)
