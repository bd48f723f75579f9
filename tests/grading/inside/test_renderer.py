"""The program that cleans and renders, called in this process."""

from __future__ import annotations

import pytest
from jinja2 import Environment
from nbformat.v4 import new_markdown_cell, new_notebook
from traitlets.config import Config

from course_utils.grading.inside import renderer

NOTEBOOK = new_notebook(cells=[new_markdown_cell("# Hello")])


def test_the_templates_of_the_page_are_compiled_once(monkeypatch):
    compiled = []
    compile_template = Environment.compile

    def counted(self, source, name=None, *rest, **settings):
        compiled.append(name)
        return compile_template(self, source, name, *rest, **settings)

    monkeypatch.setattr(Environment, "compile", counted)
    monkeypatch.setattr(renderer, "_compiled", renderer._InMemory())
    first, _ = renderer.PageExporter().from_notebook_node(NOTEBOOK)
    assert len(compiled) == len(set(compiled)) > 1
    compiled.clear()
    second, _ = renderer.PageExporter().from_notebook_node(NOTEBOOK)
    assert compiled == []
    assert second == first


@pytest.mark.parametrize("settings", [{"template_name": "basic"}, renderer.FEEDBACK])
def test_all_templates_are_compiled_before_the_first_page(monkeypatch, settings):
    renderer.import_everything()
    monkeypatch.delattr(Environment, "compile")
    exporter = renderer.PageExporter(config=Config({"HTMLExporter": settings}))
    about = {"nbgrader": {"score": 1, "max_score": 2, "late_penalty": 0}}
    page, _ = exporter.from_notebook_node(
        NOTEBOOK, about | {"inlining": {"css": ["b { color: red }"]}}
    )
    assert "Hello" in page
    assert ("b { color: red }" in page) == (settings is renderer.FEEDBACK)
