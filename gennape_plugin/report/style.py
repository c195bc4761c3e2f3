"""The page's style sheet, for light and dark, and its script."""

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5a6675;--paper:#fff;--box:#f4f6f9;
--line:#9aa6b5;--rule:#dde3ea;--up:#0f8a6d;--down:#d1590e;--bar:#4a7ab8;--link:#1d5fa8;--mark:38%}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--dim:#9ba8b8;--paper:#14181e;--box:#1f2630;
--line:#65748a;--rule:#2d3643;--up:#2fbf9b;--down:#f08a45;--bar:#6d9fe0;--link:#86b8f5;--mark:66%}}
*{box-sizing:border-box}
body{margin:0;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
header,main,footer{max-width:70rem;margin:auto;padding:0 1.2rem}
h1{font-size:1.7rem;margin:1.4rem 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.2rem 0 .6rem;padding-bottom:.2rem;border-bottom:1px solid var(--rule)}
h3{font-size:1.02rem;margin:1.3rem 0 .4rem}
nav a{margin-right:1rem}a{color:var(--link)}
footer{margin-top:3rem;padding-bottom:2rem}
footer,.dim{color:var(--dim);font-size:.88rem}
code{font-size:.9em;overflow-wrap:anywhere}
dl{margin:0;display:grid;gap:.35rem}
dl div{display:grid;grid-template-columns:7.5rem 1fr}dt{color:var(--dim)}dd{margin:0}
.score{font-size:1.35rem;margin-right:.4rem}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-size:.9rem}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{padding:.2rem .8rem .2rem 0;border-bottom:1px solid var(--rule);text-align:left;
vertical-align:middle}
tbody th{font-weight:400;overflow-wrap:anywhere;min-width:9rem}
thead th{color:var(--dim);font-weight:500}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.track{display:inline-block;width:8rem;height:.75rem;background:var(--box);text-align:left;
vertical-align:middle}
.track.mid{background:linear-gradient(var(--line),var(--line)) 50%/1px 100% no-repeat var(--box)}
.bar{display:block;height:100%;background:var(--bar)}
.bar.up{background:var(--up)}.bar.down{background:var(--down)}
.key{border-bottom:3px solid}.key.up{border-color:var(--up)}.key.down{border-color:var(--down)}
.notice{border-left:4px solid var(--down);padding-left:.7rem}
svg{display:block;margin:auto;font:12px system-ui,sans-serif}
svg text{fill:var(--ink)}
.graph text{text-anchor:middle}.graph .sub{font-size:10.5px;white-space:pre}
.edges{fill:none;stroke:var(--line);stroke-width:1.3}
.graph .box{fill:var(--box);stroke:var(--line)}
.graph .port .box{fill:none;stroke-dasharray:4 3}.graph .port text{fill:var(--dim)}
.graph .group .box{stroke-width:3.5;stroke:var(--bar)}
.graph rect.up{fill:var(--up)}.graph rect.down{fill:var(--down)}
.graph a:hover .box,.graph a:focus .box{stroke:var(--ink)}
.map{max-width:100%;height:auto;background:var(--box)}
.map g{fill-opacity:.75}.map .names{font-weight:600;text-anchor:middle}
.names text{paint-order:stroke;stroke:var(--box);stroke-width:3px}
.here{fill:none;stroke:var(--ink);stroke-width:3}
.here-name{font-weight:700;font-size:14px;paint-order:stroke;stroke:var(--box);stroke-width:4px}
details{border:1px solid var(--rule);border-radius:5px;margin:.4rem 0;padding:.3rem .8rem}
summary{cursor:pointer;overflow-wrap:anywhere}
button{font:inherit}
@media print{.buttons,nav{display:none}}
""".strip()

#: Opens the part that a link leads to, and all of them at once; the page works without it.
SCRIPT: Final = """
(function(){
"use strict";
var parts=document.querySelectorAll("details");
function follow(){
var target=location.hash&&document.getElementById(location.hash.slice(1));
if(target&&target.tagName==="DETAILS"){target.open=true;target.scrollIntoView();}
}
document.querySelectorAll(".buttons").forEach(function(row){row.hidden=false;});
document.querySelectorAll("[data-open]").forEach(function(button){
button.addEventListener("click",function(){
parts.forEach(function(part){part.open=button.dataset.open==="1";});
});});
document.querySelectorAll(".graph a").forEach(function(link){
link.addEventListener("click",function(){setTimeout(follow,0);});});
addEventListener("hashchange",follow);
follow();
})();
""".strip()
