"""`course run` takes every notebook that Jupyter opens, and more, and says what it repaired."""

from __future__ import annotations

import json

import nbformat
import pytest
from small_notebooks import write_notebook

from course_utils.batch import run_notebooks
from course_utils.batch.notebooks import find_notebooks, parameter_names, read_source
from course_utils.errors import NotebookError
from course_utils.notebook_format import notebook_stem


def slips(notebook):
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"#VSC-{number}"
        cell["metadata"]["tags"] = [*cell["metadata"].get("tags", []), "a", "a"]
        cell["metadata"]["collapsed"] = "false"
        cell.pop("execution_count", None)
        cell.pop("outputs", None)
    notebook["cells"].append({"cell_type": "heading", "level": 2, "source": ["End"]})
    notebook["metadata"]["kernelspec"] = {"display_name": "x"}


def old(notebook):
    cells = [
        {**cell, "input": cell["source"], "language": "python", "outputs": [], "collapsed": False}
        if cell["cell_type"] == "code" else cell for cell in notebook["cells"]
    ]  # fmt: skip
    notebook |= {"nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": cells}]}
    del notebook["cells"]


def other_kernel(notebook):
    notebook["metadata"]["kernelspec"] = {
        "name": "conda-env-tf-py", "display_name": "tf", "language": "python"
    }  # fmt: skip


def only_the_name_of_the_kernel(notebook):
    notebook["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}


def nothing(notebook):
    pass


VARIANTS = {
    "slips": (slips, "utf-8", "invalid cell ids"),
    "old": (old, "utf-8", "an old version of the format"),
    "no-language": (only_the_name_of_the_kernel, "utf-8", "no language of the kernel"),
    "mark": (nothing, "utf-8-sig", "a byte-order mark"),
    "utf-16": (nothing, "utf-16", "UTF-16"),
    "cp1252": (nothing, "cp1252", "read as cp1252"),
    "other-kernel": (other_kernel, "utf-8", "The kernel conda-env-tf-py is not installed"),
}


def write(folder, name, change, encoding):
    path = write_notebook(folder / f"{name}.ipynb", "print(profile * 2)", text="# Größe, naïve")
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_bytes(json.dumps(notebook, ensure_ascii=False).encode(encoding))
    return path


@pytest.mark.process
def test_every_form_is_executed_and_what_was_repaired_is_said(tmp_path, capsys):
    paths = [write(tmp_path, name, *variant[:2]) for name, variant in VARIANTS.items()]
    paths.append(write(tmp_path, "plain", nothing, "utf-8"))
    paths[0] = paths[0].rename(tmp_path / "slips.IPYNB")
    (tmp_path / "._plain.ipynb").write_bytes(b"\0\5\x16\7")
    before = [path.read_bytes() for path in paths]
    report = run_notebooks([tmp_path], out=tmp_path / "out")
    printed = capsys.readouterr().out
    ended = {outcome.name: (outcome.status, outcome.error) for outcome in report.notebooks}
    assert ended == dict.fromkeys((*VARIANTS, "plain"), ("executed", ""))
    assert [path.read_bytes() for path in paths] == before
    for outcome in report.notebooks:
        cells = nbformat.read(outcome.output, as_version=4).cells
        assert [o.text for c in cells for o in c.get("outputs", ())] == ["fastfast\n"]
        if outcome.name == "plain":
            assert outcome.repaired == ""
        else:
            assert VARIANTS[outcome.name][2] in outcome.repaired
            assert outcome.repaired in printed
    again = run_notebooks([tmp_path], out=tmp_path / "out")
    assert {outcome.status for outcome in again.notebooks} == {"unchanged"}


@pytest.mark.parametrize(
    ("kernel", "metadata", "sentence"),
    [
        (
            None,
            {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}},
            "needs the kernel ir",
        ),
        ("no-such", {}, "with --kernel"),
    ],
)
def test_a_kernel_that_is_missing_is_named(tmp_path, kernel, metadata, sentence):
    path = write(tmp_path, "a", lambda notebook: notebook.update(metadata=metadata), "utf-8")
    with pytest.raises(NotebookError, match=sentence):
        read_source(path, kernel)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["x, y = 1, 2"], {"x", "y"}),
        (["(x := 1)"], {"x"}),
        (["if True: x = 1"], {"x"}),
        (["x: int = 1", "y = 2"], {"x", "y"}),
        (["[x, *y] = 1, 2, 3"], {"x", "y"}),
        (["for x in range(2): pass"], {"x"}),
        (["pass"], None),
        (["%matplotlib inline\nx = 1"], None),
        ([], None),
    ],
)
def test_the_names_of_parameters(cells, names):
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]}) for source in cells
        ]
    )
    assert parameter_names(notebook) == names


def test_shadows_are_no_notebooks_and_other_endings_are(tmp_path):
    for name in ("._a.ipynb", "b.IPYNB", "c.ipynb.txt", "d.txt"):
        (tmp_path / name).touch()
    assert list(find_notebooks([tmp_path])) == ["b", "c"]
    assert notebook_stem(tmp_path / "__MACOSX" / "b.ipynb") is None


def test_what_editors_leave_behind_is_not_executed(tmp_path):
    """Emacs keeps a link that leads nowhere, and Jupyter what it could not finish writing."""
    for name in ("a.ipynb", ".~a.ipynb", ".hidden.ipynb"):
        (tmp_path / name).touch()
    (tmp_path / ".#a.ipynb").symlink_to("me@host.123:1")
    (tmp_path / "lost.ipynb").symlink_to("nowhere.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    assert list(find_notebooks([tmp_path])) == ["a"]
    assert list(find_notebooks([tmp_path / ".hidden.ipynb"])) == [".hidden"]


@pytest.mark.process
def test_files_of_the_current_folder_are_no_modules_of_pythons(tmp_path, monkeypatch):
    for name in ("json", "random", "typing"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('another one')\n")
    notebook = write_notebook(tmp_path / "a.ipynb", "import random\nrandom.random() < 1")
    monkeypatch.chdir(tmp_path)
    report = run_notebooks([notebook], out=tmp_path / "out")
    assert [(o.status, o.error) for o in report.notebooks] == [("executed", "")]
