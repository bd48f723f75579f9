"""Finding the names that cells define, and the texts in them."""

from __future__ import annotations

import ast
import builtins
import contextlib
import re
import symtable
from collections.abc import Iterable

from nbformat import NotebookNode

from course_utils.grading.assignment.cells import SECRETS, nodes, parse


def hidden_names(tests: Iterable[NotebookNode]) -> set[str]:
    """Return the names that tests define and use in hidden regions only."""
    hidden: set[str] = set()
    shown: set[str] = set()
    for cell in tests:
        hidden |= names_defined(cell.source)
        shown |= {symbol.get_name() for symbol in _symbols(SECRETS.sub("", cell.source))}
    return hidden - shown


def names_defined(source: str) -> set[str]:
    """Return the names that a cell defines, imports or deletes at its top level."""
    symbols = (s for s in _symbols(source) if s.is_assigned() or s.is_imported())
    return {symbol.get_name() for symbol in symbols}


def _symbols(source: str) -> list[symtable.Symbol]:
    """Return the names that a cell uses at its top level, without those inside its functions."""
    table = _table(source)
    return list(table.get_symbols()) if table else []


def _table(source: str) -> symtable.SymbolTable | None:
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return symtable.symtable(source, "<cell>", "exec")
    return None


# Functions with which a test looks into the process in which it runs, and modules for it.
LOOK_INSIDE = {"dir", "eval", "exec", "get_ipython", "globals", "locals", "vars"}
MODULES_FOR_IT = {"__main__", "inspect", "mock"}


def needs_the_kernel(test: str, others: Iterable[str]) -> bool:
    """Tell whether a test makes sense only in the notebook's own process.

    Such a test is no plain Python, looks into its own process, or redefines names that a function
    of the notebook uses, to see whether the function uses them.

    Parameters
    ----------
    test : str
    others : iterable of str
        The lecturer's cells that are no tests.
    """
    table, others = _table(test), list(others)
    if table is None or "__main__" in test or "sys.modules" in test:
        return True
    tools = {
        (each.asname or each.name).split(".")[0]
        for source in [*others, test]
        for node in nodes(source)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and names_in(ast.unparse(node)) & MODULES_FOR_IT
        for each in node.names
    }
    used = {node.id for node in nodes(test) if isinstance(node, ast.Name)}
    if used & (tools | LOOK_INSIDE):
        return True
    changed = {s.get_name() for s in table.get_symbols() if s.is_assigned() and not s.is_imported()}
    theirs = {name for other in others for name in _globals_of_functions(_table(other))}
    return bool(changed & (theirs | set(dir(builtins))))


def _globals_of_functions(table: symtable.SymbolTable | None) -> set[str]:
    """Return the names outside a cell's functions that the functions use."""
    found: set[str] = set()
    for inner in table.get_children() if table else ():
        if inner.get_name() not in ("listcomp", "setcomp", "dictcomp", "genexpr"):
            found |= {s.get_name() for s in inner.get_symbols() if s.is_global()}
        found |= _globals_of_functions(inner)
    return found


def names_assigned(source: str) -> list[str]:
    """Return the names that a test assigns or defines; none if it is not valid Python."""
    names = []
    for node in nodes(source):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
    return names


def names_in(source: str) -> set[str]:
    """Return every word that could be a name in a student's cell, which is not parsed for it."""
    return set(re.findall(r"[^\W\d]\w*", source))


def texts_in(sources: Iterable[str]) -> set[str]:
    """Return the texts that a lecturer's cells contain as literals, such as names of questions."""
    return {
        node.value
        for source in sources
        for node in nodes(source)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


# Code of the lecturer's that the examiner runs without failing. If it does fail there, the examiner
# asks the student's notebook for the names that it would have defined.
IF_POSSIBLE = """
with __import__("contextlib").suppress(Exception):
    exec({text!r})
"""
# Code that makes a module of a text, wherever its file is.
MODULE = """
import sys, types
if {name!r} not in sys.modules:
    with __import__("contextlib").suppress(Exception):
        sys.modules[{name!r}] = types.ModuleType({name!r})
        exec({text!r}, vars(sys.modules[{name!r}]))
del sys, types
"""


def imports(sources: Iterable[str], users: Iterable[str]) -> list[str]:
    """Return the imports in cells that others use, as code that never fails."""
    used = names_in("\n".join(users)) | {"*"}
    return [
        IF_POSSIBLE.format(text=ast.unparse(node))
        for node in _statements(sources)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and used & {(each.asname or each.name).split(".")[0] for each in node.names}
    ]


def definitions(sources: Iterable[str]) -> list[str]:
    """Return the functions and classes that cells define, as code that never fails."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [
        IF_POSSIBLE.format(text=ast.unparse(node))
        for node in _statements(sources)
        if isinstance(node, kinds)
    ]


def module(name: str, content: bytes) -> str:
    """Return code that makes a module of the lecturer's file, and never fails."""
    return MODULE.format(name=name, text=content.decode("utf-8", "replace"))


def _statements(sources: Iterable[str]) -> list[ast.stmt]:
    """Return the statements of cells, except those that are not valid Python."""
    return [statement for tree in map(parse, sources) if tree for statement in tree.body]
