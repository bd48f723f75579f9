"""The steps of nbgrader that the course replaces or adds; ``nbgrader_config.py`` names them.

Reading and repairing a submission, executing it within limits, turning grades into points, and
keeping them.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import html
import logging
import math
import os
import re
import stat
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from nbconvert.exporters import NotebookExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from nbformat.v4 import new_notebook, new_output
from nbgrader import utils
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import SaveAutoGrades
from nbgrader.preprocessors.base import NbGraderPreprocessor
from traitlets import Int

from course_utils.errors import SandboxError
from course_utils.grading.duplicates import note_weights
from course_utils.grading.examined import PROVENANCE, load_or_examine
from course_utils.grading.execution import (
    MAX_FILES_BYTES,
    Job,
    is_test,
    plain_files,
    read_files,
)
from course_utils.grading.notes import add_note, lecturer_notes, printable
from course_utils.grading.sandbox import require_sandbox
from course_utils.grading.scan import SECRETS
from course_utils.submission.settings import GRADE_MIME, LECTURER, RETRAIN

MAX_NOTEBOOK_BYTES = 20 * 2**20
# Objects, lists and values: read, each takes hundreds of bytes.
MAX_NOTEBOOK_PARTS = 500_000
# Of folders in each other.
MAX_DEPTH = 20
# The lecturer's cells with this tag run where the tests run, too.
FOR_TESTS = "for-tests"
STUDENTS_TAGS_THAT_STEER = {"skip-execution", "raises-exception"}
# One seed gives two students the same network where recipe, layers and machine are the same, too.
SAME_WEIGHTS = "the network has the same weights as that of {}: copied, or trained alike"
# In the metadata of a notebook without one cell of the assignment.
NOTHING_TO_RUN = "course_nothing_to_run"
HARMLESS_TAGS = [
    "a", "b", "blockquote", "br", "code", "details", "div", "em", "h1", "h2", "h3", "h4", "hr", "i",
    "li", "ol", "p", "pre", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "ul",
]  # fmt: skip
TAG = re.compile(r"<[a-zA-Z/!?]")
# A formula can hold a link, and give that command another name.
LINK_IN_MATHEMATICS = re.compile(r"\\(?=href|csname)")
# IPython colours the names of errors.
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class SubmissionExporter(NotebookExporter):
    """Reads a student's notebook, whatever its state: what cannot be read counts as empty.

    Where submissions cannot be run in a sandbox, nbgrader ends before it has read the first.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            require_sandbox()
        except SandboxError as error:
            self.log.error(str(error))
            raise NbGraderException(str(error)) from error

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> tuple[str, Any]:
        path = Path(filename)
        notebook, problem = read_notebook(path)
        # Read a second time, it holds the grader's own notes.
        if self.parent._sanitizing:
            _remove_metadata(notebook)
        if problem:
            self.log.warning("%s: %s", path, problem)
            add_note(notebook, problem, f"{path.name}: {problem}")
        resources["metadata"] = {"name": path.stem, "path": str(path.parent)}
        return self.from_notebook_node(notebook, resources, **kw)


def read_notebook(path: Path) -> tuple[NotebookNode, str]:
    """Return a notebook and, where something was wrong with the file, a sentence about it."""
    problem = ""
    if not path.exists():
        others = sorted(path.parent.glob("*.ipynb"))
        if len(others) != 1:
            return new_notebook(), f"The notebook {path.name} was not handed in."
        problem = f"The notebook was handed in as {others[0].name}, not as {path.name}."
        path = others[0]
    if path.stat().st_size > MAX_NOTEBOOK_BYTES:
        return new_notebook(), (
            f"The notebook has {path.stat().st_size / 2**20:.0f} MB, more than the "
            f"{MAX_NOTEBOOK_BYTES // 2**20} MB that are read: clear its outputs."
        )
    try:
        content = path.read_bytes()
        if sum(map(content.count, (b"{", b"[", b","))) > MAX_NOTEBOOK_PARTS:
            return new_notebook(), "The notebook has too many parts: clear its outputs."
        notebook = nbformat.reads(content.decode("utf-8"), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        return new_notebook(), f"The notebook cannot be read ({reason[0][:120]}): it is damaged."
    if not notebook.cells:
        problem = f"The notebook {path.name} was not handed in, or there is nothing in it."
    return notebook, problem


def _remove_metadata(notebook: NotebookNode) -> None:
    """Keep of a student's metadata only what is looked at later."""
    notebook.metadata.clear()
    for cell in notebook.cells:
        for name in set(cell.metadata) - {"nbgrader", "tags"}:
            del cell.metadata[name]


def receive(assignment: str, student: str, notebooks: list[str]) -> None:
    """Before a submission is converted: set aside what is no file, and expect one notebook.

    nbgrader would follow a link out of the folder, and wait for a pipe for ever. A notebook under
    another name would be skipped, and the submission with it: the exporter reads what there is.
    """
    folder = Path(notebooks[0]).parent
    try:
        set_aside(folder)
    except (OSError, RecursionError) as error:
        # nbgrader would go on after any other exception.
        raise SystemExit(f"{folder} cannot be made ready for grading: {error}") from error
    notebooks[:] = [str(folder / f"{folder.name}.ipynb")]


def set_aside(folder: Path) -> None:
    """Move links, pipes, devices and what no text can name to ``set-aside`` in the course.

    Folders in too many others as well: programs that look through them fail.
    """
    _move_aside(folder, _open_folders(folder))
    plain = {path for path in plain_files(folder) if _is_text(str(path))}
    _move_aside(folder, [
        path
        for path in sorted(folder.rglob("*"), key=lambda each: -len(each.parts))
        if path not in plain and (path.is_symlink() or not path.is_dir())
    ])  # fmt: skip


def _open_folders(folder: Path) -> list[Path]:
    """Take nobody's word for it that a folder may not be read or changed; return too deep ones."""
    too_deep = []
    for place, names, _ in os.walk(folder):
        for path in (Path(place) / name for name in names):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)
        if len(Path(place).relative_to(folder).parts) == MAX_DEPTH:
            too_deep += [Path(place) / name for name in names]
            names.clear()
    return too_deep


def _move_aside(folder: Path, strange: list[Path]) -> None:
    """Each time into a folder of its own: what was set aside before may have the same names."""
    if not strange:
        return
    places = folder.parents[2].joinpath("set-aside", *folder.parts[-2:])
    places.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=f"{date.today()}-", dir=places))
    for path in strange:
        place = own / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class RepairCells(NbGraderPreprocessor):
    """Gives a submission the cells that the assignment has, each once and in its place.

    What nbgrader needs to know of a cell comes from the lecturer's notebook, never from the
    student's. A cell that is missing, or whose id was changed, is put back as it was released;
    a second cell with the same id, and one that is unknown, become the student's own.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        expected = self._expected_cells(resources["nbgrader"])
        if _is_another(nb, expected):
            for cell in nb.cells:
                cell.metadata.pop("nbgrader", None)
        found: set[str] = set()
        extra = []
        for cell in nb.cells:
            _remove_steering_tags(cell)
            grade_id = _grade_id(cell)
            if grade_id in expected and grade_id not in found:
                found.add(grade_id)
                cell.metadata["nbgrader"] = copy.deepcopy(expected[grade_id].metadata.nbgrader)
            elif "nbgrader" in cell.metadata:
                del cell.metadata["nbgrader"]
                extra.append(grade_id)
        missing = [grade_id for grade_id in expected if grade_id not in found]
        for grade_id in missing:
            cell = expected[grade_id]
            nb.cells.insert(_place(nb, list(expected), cell), cell)
        self._tell(nb, missing, extra, everything=len(expected))
        return nb, resources

    def _expected_cells(self, names: dict[str, str]) -> dict[str, NotebookNode]:
        """Return the assignment's cells in order: as released, with the hidden tests."""
        source = _source(self, names)
        with Gradebook(names["db_url"]) as gradebook:
            notebook = gradebook.find_notebook(names["notebook"], names["assignment"])
            released = {cell.name: cell.source for cell in notebook.source_cells}
        expected = {}
        for cell in source.cells:
            grade_id = _grade_id(cell)
            if grade_id in released:
                cell.source = released[grade_id]
                expected[grade_id] = cell
        return expected

    def _tell(self, nb: NotebookNode, missing: list, extra: list, everything: int) -> None:
        if missing and len(missing) == everything:
            nb.metadata[NOTHING_TO_RUN] = True
            sentence = "None of the assignment's cells is in the notebook: is it another one?"
            if not lecturer_notes(nb):
                add_note(nb, sentence, sentence)
        elif missing:
            names = ", ".join(missing)
            add_note(
                nb,
                f"These cells were missing and were put back without an answer: {names}.",
                f"Cells missing, or with a changed id: {names}.",
            )
        if extra:
            names = ", ".join(sorted({str(grade_id) for grade_id in extra}))
            add_note(
                nb,
                f"These cells were there twice, or are not the assignment's: {names}. "
                "Of each, the first was graded.",
                f"Cells duplicated or unknown: {names}.",
            )


class Examine(NbGraderPreprocessor):
    """Has a submission executed and its tests carried out, unless that was done before."""

    timeout = Int(180, help="Seconds for one cell, and for one test.").tag(config=True)
    total_timeout = Int(600, help="Seconds for one submission.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        job = self.job(nb, resources)
        if job is not None:
            examined = load_or_examine(job, Path(self.parent.parent.coursedir.root))
            nb.cells = examined.cells
            nb.metadata[PROVENANCE] = examined.provenance
            nb.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
            for for_student, for_lecturer in examined.notes:
                add_note(nb, for_student, for_lecturer)
        return nb, resources

    def job(self, nb: NotebookNode, resources: Any) -> Job | None:
        """Return all that a submission's result depends on; None where there is nothing to run."""
        if nb.metadata.get(NOTHING_TO_RUN):
            return None
        names = resources["nbgrader"]
        folder = Path(resources["metadata"]["path"])
        files, too_large = read_files(folder, self.parent.parent.coursedir.ignore)
        if too_large:
            most = f"{MAX_FILES_BYTES // 2**20} MB in all are read"
            sentence = f"Too large to be looked at, {most}: {', '.join(too_large[:5])}."
            add_note(nb, sentence, sentence)
        return Job(
            cells=nb.cells,
            given=_given_cells(_source(self, names)),
            files=files,
            timeout=self.timeout,
            total_timeout=self.total_timeout,
            retrain=_is_sampled(names["student"], names["assignment"]),
        )


class GradeCells(NbGraderPreprocessor):
    """Turns the grade of each test cell into points, and its errors into a sentence.

    nbgrader counts an empty output as full marks and a line on standard error as none. Here a
    test cell has earned what its one `Grade` says, and nothing where there is none.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> Any:
        if not is_test(cell):
            return cell, resources
        points = float(cell.metadata.nbgrader["points"])
        printed = [o for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"]
        grade = _grade_of(cell)
        if grade is None:
            cell.outputs = [*printed, _no_grade(cell)]
            return cell, resources
        result = new_output("execute_result", data=grade, execution_count=cell.execution_count or 1)
        result.data["text/plain"] = f"{points * grade[GRADE_MIME]['fraction']:.4g}"
        cell.outputs = [*printed, result]
        if review := grade[GRADE_MIME]["review"]:
            cell.outputs.append(_for_lecturer(review))
        return cell, resources


class SaveGrades(SaveAutoGrades):
    """Saves the points; a grade with a reason to look at it waits for the lecturer.

    A network that somebody else handed in, too, is a reason for both.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        weights = {
            cell.metadata["nbgrader"]["grade_id"]: measured["weights"]
            for cell in filter(is_test, nb.cells)
            for measured in (_grade_of(cell) or {}).get(GRADE_MIME, {}).get("accuracies", ())
        }
        course = Path(self.parent.parent.coursedir.root)
        self._same = note_weights(course, names["assignment"], names["student"], weights)
        return super().preprocess(nb, resources)

    def _add_score(self, cell: NotebookNode, resources: Any) -> None:
        super()._add_score(cell, resources)
        if cell.cell_type != "code":
            return
        grade_id = cell.metadata["nbgrader"]["grade_id"]
        others = self._same.get(grade_id, [])
        if others:
            cell.outputs.append(_for_lecturer(SAME_WEIGHTS.format(", ".join(others))))
        grade = _grade_of(cell)
        if others or (grade and grade[GRADE_MIME]["review"]):
            self._have_it_looked_at(grade_id, self.student_id)
        for other in others:
            self._have_it_looked_at(grade_id, other)

    def _have_it_looked_at(self, grade_id: str, student: str) -> None:
        with contextlib.suppress(MissingEntry):  # of somebody whose submission was taken away
            saved = self.gradebook.find_grade(
                grade_id, self.notebook_id, self.assignment_id, student
            )
            saved.needs_manual_grade = True
            self.gradebook.db.commit()


class RemoveScripts(SanitizeHTML, NbGraderPreprocessor):
    """Takes scripts out of what a student's notebook displays, and links that are scripts.

    Whoever looks at it in formgrader is signed in there, and could be made to give points.
    """

    tags = HARMLESS_TAGS

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> Any:
        if is_test(cell):  # its outputs are the grader's own
            return cell, resources
        # Text without a tag stays as it is.
        if cell.cell_type != "markdown" or TAG.search(cell.source):
            cell, resources = super().preprocess_cell(cell, resources, index)
        if cell.cell_type == "markdown":
            cell.source = _harmless(cell.source, cell.get("attachments", {}))
        for output in cell.get("outputs", ()):
            if "data" in output:
                output.metadata = _sizes(output.metadata)
                _make_harmless(output.data)
        return cell, resources


def _make_harmless(data: NotebookNode) -> None:
    if "text/markdown" in data:
        data["text/markdown"] = _harmless(data["text/markdown"], {})
    for kind in ("text/html", "text/latex"):
        if kind in data:
            data[kind] = LINK_IN_MATHEMATICS.sub("", data[kind])


def _harmless(text: str, attachments: dict[str, Any]) -> str:
    """Return Markdown; as it was typed where it has links that act, or cannot be shown."""
    text = LINK_IN_MATHEMATICS.sub("", text)
    try:
        renderer = IPythonRenderer(escape=False, attachments=attachments)
        shown = BeautifulSoup(MarkdownWithMath(renderer=renderer).render(text), "html.parser")
        targets = [tag.get(name) for name in ("href", "src") for tag in shown.find_all(True)]
        if not any(_acts(target) for target in targets if target):
            return text
    except Exception as error:
        logging.getLogger(__name__).info("A text is shown as it was typed: %s", error)
    fence = "`" * (3 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _acts(target: str) -> bool:
    """Tell whether a link does something else than to lead to a page or to show a picture."""
    # Browsers leave out blanks and what cannot be printed.
    scheme, colon, _ = "".join(filter(str.isprintable, target)).replace(" ", "").partition(":")
    known = scheme.lower() in ("http", "https", "mailto", "attachment")
    picture = re.match(r"data:image/(png|jpeg|gif|webp);", target)
    return bool(colon) and scheme.isascii() and not (known or picture or set(scheme) & set("/?#"))


def _sizes(metadata: NotebookNode) -> NotebookNode:
    """Return what metadata say of a picture's size and meaning, and nothing else."""
    kinds = {"width": int | float, "height": int | float, "alt": str}
    return NotebookNode(
        {
            kind: NotebookNode({n: v for n, v in told.items() if isinstance(v, kinds.get(n, ()))})
            for kind, told in metadata.items()
            if isinstance(told, dict)
        }
    )


def _source(preprocessor: NbGraderPreprocessor, names: dict[str, str]) -> NotebookNode:
    """Read the lecturer's notebook of the submission that is being converted."""
    coursedir = preprocessor.parent.parent.coursedir
    folder = coursedir.format_path(coursedir.source_directory, ".", names["assignment"])
    return nbformat.read(Path(folder) / f"{names['notebook']}.ipynb", as_version=4)


def _given_cells(source: NotebookNode) -> list[str]:
    """Return the lecturer's cells that the tests stand on."""
    return [
        cell.source
        for cell in source.cells
        if FOR_TESTS in cell.metadata.get("tags", ()) and cell.cell_type == "code"
    ]


def _is_sampled(*names: str) -> bool:
    """Tell whether the lecturer wants this submission's networks trained again."""
    part = 0.0
    with contextlib.suppress(ValueError):
        part = float(os.environ.get(RETRAIN, 0))
    # Student and assignment name the submission: the same ones are drawn every time.
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < part


def _grade_of(cell: NotebookNode) -> NotebookNode | None:
    """Return the data of a test cell's one grade, or None."""
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    if len(results) != 1 or GRADE_MIME not in results[0].data:
        return None
    if any(output.output_type == "error" for output in cell.outputs):
        return None
    fraction = results[0].data[GRADE_MIME].get("fraction")
    whole = isinstance(fraction, int | float) and math.isfinite(fraction) and 0 <= fraction <= 1
    return results[0].data if whole else None


def _no_grade(cell: NotebookNode) -> NotebookNode:
    """Say why a test cell earned nothing; of a traceback only the last line is kept."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if errors:
        what = ANSI.sub("", f"{errors[0].ename}: {errors[0].evalue}")[:300]
        line = f"The test could not be carried out. {what}"
    else:
        line = "The test could not be carried out: it did not come to its end."
    return new_output("error", ename="NotGraded", evalue=line, traceback=[line])


def _for_lecturer(review: str) -> NotebookNode:
    """Show a reason to look at a grade where formgrader shows the test."""
    text = printable(review)
    block = f"<p><strong>To look at:</strong> {html.escape(text)}</p>"
    return new_output(
        "display_data", data={"text/plain": text, "text/html": block}, metadata={LECTURER: True}
    )


def _grade_id(cell: NotebookNode) -> str | None:
    metadata = cell.metadata.get("nbgrader")
    grade_id = metadata.get("grade_id") if isinstance(metadata, dict) else None
    return grade_id if isinstance(grade_id, str) else None


def _is_another(nb: NotebookNode, expected: dict[str, NotebookNode]) -> bool:
    """Tell whether most cells that students cannot edit say something else than they should.

    Two assignments may both have a cell ``q1-test``.
    """
    same = [
        _first_line(cell.source) == _first_line(SECRETS.sub("", expected[_grade_id(cell)].source))
        for cell in nb.cells
        if _grade_id(cell) in expected and utils.is_locked(expected[_grade_id(cell)])
    ]
    return 2 * sum(same) < len(same)


def _first_line(source: str) -> str:
    return source.strip().partition("\n")[0]


def _remove_steering_tags(cell: NotebookNode) -> None:
    tags = cell.metadata.get("tags")
    if isinstance(tags, list):
        cell.metadata["tags"] = [tag for tag in tags if tag not in STUDENTS_TAGS_THAT_STEER]


def _place(nb: NotebookNode, order: list[str], missing: NotebookNode) -> int:
    """Return where to insert a missing cell.

    A gap comes right after the cell before it, anything else right before the cell after it: so
    an answer under another id stands between them, and is what a test that was put back sees.
    """
    places = {_grade_id(cell): index for index, cell in enumerate(nb.cells)}
    here = order.index(_grade_id(missing))
    if utils.is_solution(missing):
        before = [places[name] for name in order[:here] if name in places]
        return max(before, default=-1) + 1
    after = [places[name] for name in order[here + 1 :] if name in places]
    return min(after, default=len(nb.cells))
