"""Finding the names that cells define, and the texts in them."""

from __future__ import annotations

import ast
import contextlib
import re
import symtable
from collections.abc import Iterable

from nbformat import NotebookNode

from course_utils.grading.assignment.cells import SECRETS


def hidden_names(tests: Iterable[NotebookNode]) -> set[str]:
    """Return the names that tests define and use in hidden regions only."""
    hidden: set[str] = set()
    shown: set[str] = set()
    for cell in tests:
        defined = (s for s in _symbols(cell.source) if s.is_assigned() or s.is_imported())
        hidden |= {symbol.get_name() for symbol in defined}
        shown |= {symbol.get_name() for symbol in _symbols(SECRETS.sub("", cell.source))}
    return hidden - shown


def _symbols(source: str) -> list[symtable.Symbol]:
    """Return the names that a cell uses at its top level, without those inside its functions."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return symtable.symtable(source, "<cell>", "exec").get_symbols()
    return []


def names_assigned(source: str) -> list[str]:
    """Return the names that a test assigns or defines; none if it is not valid Python."""
    names = []
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        for statement in ast.parse(source).body:
            for node in ast.walk(statement):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    names.append(node.name)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.append(node.id)
    return names


def names_in(source: str) -> set[str]:
    """Return every word that could be a name in a student's cell, which is not parsed for it."""
    return set(re.findall(r"[^\W\d]\w*", source))


def texts_in(sources: Iterable[str]) -> set[str]:
    """Return the texts that cells contain as literals, such as the names of questions."""
    texts = set()
    for source in sources:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.add(node.value)
    return texts
