r"""The LaTeX commands that a formula of a student may contain.

MathJax knows commands that make links, set styles and classes, load extensions, move what they are
given over other parts of the page, or define new commands. None of them is in these lists.
"""

from __future__ import annotations

import re

GREEK = """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu
    nu xi omicron pi varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega digamma
    Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega varGamma varDelta varTheta varLambda
    varXi varPi varSigma varUpsilon varPhi varPsi varOmega aleph beth gimel daleth
"""
OPERATORS = """
    sum prod coprod int iint iiint oint bigcup bigcap bigsqcup bigvee bigwedge bigodot bigotimes
    bigoplus biguplus lim limsup liminf max min sup inf arg argmax argmin det dim deg exp gcd hom
    ker lg ln log Pr sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan injlim projlim
    limits nolimits operatorname mod bmod pmod pod
"""
RELATIONS = """
    le leq leqq leqslant ge geq geqq geqslant lt gt ll lll gg ggg ne neq equiv sim simeq approx
    approxeq cong propto asymp doteq triangleq prec preceq succ succeq subset subseteq subsetneq
    supset supseteq supsetneq sqsubset sqsubseteq sqsupset sqsupseteq in ni notin owns mid nmid
    parallel nparallel perp vdash dashv models bowtie smile frown lesssim gtrsim lessgtr gtrless not
    nless ngtr nleq ngeq nsim ncong nsubseteq nsupseteq therefore because vDash Vdash
"""
SYMBOLS = """
    pm mp times div cdot ast star circ bullet oplus ominus otimes oslash odot cap cup uplus sqcap
    sqcup vee wedge lor land lnot neg setminus smallsetminus wr amalg dagger ddagger infty partial
    nabla forall exists nexists emptyset varnothing Re Im ell hbar imath jmath wp angle
    measuredangle triangle square Box blacksquare diamond Diamond lozenge clubsuit diamondsuit
    heartsuit spadesuit flat natural sharp checkmark surd top bot prime backprime complement
    degree S P dots ldots cdots vdots ddots dotsb dotsc dotsi dotsm colon bigcirc bigstar
    bigtriangleup bigtriangledown triangleleft triangleright ltimes rtimes dotplus pounds copyright
"""
ARROWS = """
    to gets mapsto longmapsto leftarrow rightarrow leftrightarrow Leftarrow Rightarrow
    Leftrightarrow longleftarrow longrightarrow longleftrightarrow Longleftarrow Longrightarrow
    Longleftrightarrow uparrow downarrow updownarrow Uparrow Downarrow Updownarrow nearrow searrow
    swarrow nwarrow hookleftarrow hookrightarrow leftharpoonup leftharpoondown rightharpoonup
    rightharpoondown rightleftharpoons rightleftarrows leftrightarrows nleftarrow nrightarrow
    nRightarrow implies impliedby iff xleftarrow xrightarrow curvearrowright circlearrowright
"""
DELIMITERS = """
    left right middle big Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm
    Biggm langle rangle lfloor rfloor lceil rceil lvert rvert lVert rVert vert Vert lbrace rbrace
    lbrack rbrack backslash lgroup rgroup ulcorner urcorner llcorner lrcorner
"""
LAYOUT = """
    frac dfrac tfrac cfrac binom dbinom tbinom choose over atop sqrt root of stackrel overset
    underset substack overline underline overbrace underbrace overrightarrow overleftarrow
    underrightarrow overleftrightarrow hat widehat check tilde widetilde acute grave dot ddot dddot
    breve bar vec mathring boxed cancel displaystyle textstyle scriptstyle scriptscriptstyle phantom
    hphantom vphantom quad qquad enspace thinspace medspace thickspace negthinspace negmedspace
    negthickspace hline hdashline cr newline begin end tag notag nonumber label eqref ref intertext
"""
FONTS = """
    mathrm mathbf mathit mathsf mathtt mathbb mathcal mathscr mathfrak mathnormal boldsymbol bm pmb
    bf it rm sf tt cal text textrm textbf textit textsf texttt textnormal textup emph mbox hbox
    mathop mathbin mathrel mathord mathopen mathclose mathpunct mathinner
"""
_ENVIRONMENTS = """
    equation align aligned gather gathered multline split eqnarray subequations
    array matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix cases math displaymath
"""
ENVIRONMENTS = frozenset(_ENVIRONMENTS.split())
COMMANDS = frozenset(
    " ".join([GREEK, OPERATORS, RELATIONS, SYMBOLS, ARROWS, DELIMITERS, LAYOUT, FONTS]).split()
)
# Characters that name a command alone: spaces, delimiters, line breaks and escaped characters.
CHARACTERS = frozenset(" \n\t\\,:;!>|{}()[]$%&#_-/'\"`^~=.*")

# Braces and environments in each other: a browser fails at 150.
MAX_NESTED = 30
# Characters of a text with a formula, and negative spaces in it, which move it out of its place.
MAX_CHARACTERS, MAX_NEGATIVE = 20_000, 20

OPENING, CLOSING = ("{", "\\begin", "\\left"), ("}", "\\end", "\\right")
# An escaped brace is none.
BRACKETS = re.compile(r"\\begin|\\end|\\left(?![a-z])|\\right(?![a-z])|\\.|[{}]")
NEGATIVE = re.compile(r"\\(?:!|neg[a-z]+space)")
COMMAND = re.compile(r"\\([a-zA-Z]+|.?)", re.DOTALL)
ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*(?:\{([a-zA-Z]*)\*?\})?")


def is_ordinary(text: str) -> bool:
    r"""Tell whether a text contains only LaTeX commands that are harmless.

    Parameters
    ----------
    text : str
        What MathJax will see: a text in which no character is encoded any more. It need not be a
        formula, because commands are looked for everywhere in it.

    Examples
    --------
    >>> from course_utils.grading.inside.formulas import is_ordinary
    >>> is_ordinary(r"the loss is $-\log p_i$"), is_ordinary(r"$\href{javascript:f()}{x}$")
    (True, False)
    """
    if may_hold_a_formula(text) and not _is_small(text):
        return False
    return all(name in COMMANDS or name in CHARACTERS for name in COMMAND.findall(text)) and all(
        name in ENVIRONMENTS for name in ENVIRONMENT.findall(text)
    )


def may_hold_a_formula(text: str) -> bool:
    """Tell whether MathJax could find a formula in a text, harmless or not."""
    return "$" in text or "\\" in text


def _is_small(text: str) -> bool:
    """Tell whether a browser displays the formulas of a text in a short time and in their place."""
    return (
        len(text) <= MAX_CHARACTERS
        and len(NEGATIVE.findall(text)) <= MAX_NEGATIVE
        and _depth(text) <= MAX_NESTED
    )


def _depth(text: str) -> int:
    """Return how deep braces and environments are nested."""
    deepest = depth = 0
    for sign in BRACKETS.findall(text):
        depth += (sign in OPENING) - (sign in CLOSING)
        deepest = max(deepest, depth)
    return deepest
