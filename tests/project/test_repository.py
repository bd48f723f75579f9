"""What must hold of the files in the repository, whatever they say."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course_utils import env
from course_utils.paths import CHECKOUT as ROOT

NOTEBOOKS = sorted(ROOT.glob("book/*.ipynb"))
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

PARAMETERS = """\
profile = "fast"      # "fast": minutes on two cores; "full": as in the documents
seed = 0
epochs = None         # None: as many as the recipe says
limit = None          # None: all images; a number: a quick try on that many
data_path = None      # None: search for the data; a path; or "stand-in"\
"""
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    """Files that git holds, or would take up with the next `git add`."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-coz", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def read_notebook(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def code_of(path: Path) -> str:
    """The text of a file; of a notebook, its code cells."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = read_notebook(path)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


# Notebooks


def test_the_chapters_are_here():
    assert len(NOTEBOOKS) >= 12


@each_notebook
def test_notebook_has_no_outputs(path):
    for cell in read_notebook(path)["cells"]:
        assert not cell.get("outputs"), cell["id"]
        assert cell.get("execution_count") is None, cell["id"]
        assert not {"execution", "papermill"} & set(cell["metadata"]), cell["id"]


@each_notebook
def test_notebook_has_readable_unique_cell_ids(path):
    notebook = read_notebook(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell_id in ids:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell_id), cell_id


@each_notebook
def test_notebook_runs_on_the_python3_kernel(path):
    metadata = read_notebook(path)["metadata"]
    assert metadata["kernelspec"] == KERNELSPEC
    assert "papermill" not in metadata


@each_notebook
def test_first_code_cell_holds_the_parameters(path):
    code = [cell for cell in read_notebook(path)["cells"] if cell["cell_type"] == "code"]
    tagged = ["parameters" in cell["metadata"].get("tags", ()) for cell in code]
    assert tagged.index(True) == 0
    assert tagged.count(True) == 1
    assert "".join(code[0]["source"]) == PARAMETERS


@each_notebook
def test_a_chapter_installs_the_course_before_it_needs_it(path):
    """The cell is the one of the assignments; `test_assignments_in_book` checks its address."""
    header = read_notebook(ROOT / "assignments/source/header.ipynb")
    code = [cell for cell in read_notebook(path)["cells"] if cell["cell_type"] == "code"]
    assert code[1]["source"] == header["cells"][0]["source"]
    assert "from course_utils import" in "".join(code[2]["source"])


INSTALLING = """
import sys
from IPython.core.interactiveshell import InteractiveShell

code, found = sys.argv[1:]
if not found:
    sys.meta_path[:] = [each for each in sys.meta_path if "editable" not in str(each)]
    sys.path[:] = [each for each in sys.path if "python3" in each]
shell = InteractiveShell.instance()
shell.register_magic_function(lambda line: print("pip", line), magic_name="pip")
shell.run_cell(code).raise_error()
"""


@pytest.mark.process
@pytest.mark.parametrize("found", ["", "found"], ids=["missing", "installed"])
def test_the_course_is_installed_only_where_it_is_missing(found, tmp_path):
    header = read_notebook(ROOT / "assignments/source/header.ipynb")
    code = "".join(header["cells"][0]["source"])
    command = [sys.executable, "-c", INSTALLING, code, found]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("" if found else 'pip install -q "git+https://github.com/')
    assert bool(done.stdout) != bool(found)


# Files


@pytest.mark.process
def test_no_file_is_larger_than_a_megabyte_but_for_trained_networks(committed):
    large = [
        path.relative_to(ROOT)
        for path in committed
        if path.stat().st_size > (3_000_000 if path.suffix == ".keras" else 1_000_000)
    ]
    assert not large


@pytest.mark.process
def test_thresholds_stand_in_one_file(committed):
    """No code compares an accuracy with a number of its own."""
    comparison = re.compile(r"accuracy\w*[\"'\])]*\s*(?:[<>]=?|==)\s*0?\.\d")
    judged = {".py", ".ipynb", ".yml", ".toml"}
    guilty = [
        path.relative_to(ROOT)
        for path in committed
        if path.suffix in judged
        and path.relative_to(ROOT).parts[0] not in {"tests", "benchmarks"}
        and comparison.search(code_of(path))
    ]
    assert not guilty
    assert [path.name for path in committed if "thresholds.toml" in path.name] == [
        "thresholds.toml"
    ]


@pytest.mark.process
def test_a_comment_names_the_thing_that_it_is_about(committed):
    """Comments such as "What is compared" hide their subject."""
    begins_badly = re.compile(r"(?m)^\s*#+ (Of|What|As|That|How|Which|Whose|Else|Than) .*")
    code = [path for path in committed if path.suffix in (".py", ".toml", ".yml")]
    assert len(code) > 100
    assert [
        f"{path.relative_to(ROOT)}: {found[0].strip()}"
        for path in code
        for found in begins_badly.finditer(path.read_text(encoding="utf-8"))
    ] == []


@each_notebook
def test_code_fits_its_column(path):
    """The letters of code in `course.css` are as large as these widths allow."""
    wide, narrow, limit = 88, 82, 88  # in the text, in a solution
    for cell in read_notebook(path)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            lines = source.splitlines()
            allowed = 200 if "remove-cell" in cell["metadata"].get("tags", ()) else limit
        else:
            blocks = re.findall(r"```python\n(.*?)```", source, re.DOTALL)
            lines, allowed = "\n".join(blocks).splitlines(), narrow
            if marks := re.findall(r"\{solution-(start|end)\}", source):
                limit = narrow if marks[-1] == "start" else wide
        assert [line for line in lines if len(line) > allowed] == [], cell["id"]


def test_chapters_name_colours_and_do_not_choose_them():
    """ "C0" is the first colour of the library's palette; see `colours.py`."""
    chosen = re.compile(r"[\"']#[0-9a-fA-F]{3,8}[\"']")
    assert [path.name for path in NOTEBOOKS if chosen.search(code_of(path))] == []


def test_thresholds_are_of_chapters_and_handed_in_networks_and_as_the_lab_asks():
    thresholds = tomllib.loads((ROOT / "course_utils/thresholds.toml").read_text(encoding="utf-8"))
    handed_in = {path.stem for path in ROOT.glob("assignments/solutions/*/*.keras")}
    assert set(thresholds) <= {path.stem for path in NOTEBOOKS} | handed_in
    for network, chapter in {"a1-q2": 2, "a2-q3": 5, "a4-q9": 8}.items():
        name = next(name for name in thresholds if name.startswith(f"0{chapter}_"))
        assert thresholds[network]["test_accuracy"] == thresholds[name]["test_accuracy"]
    assert thresholds["02_fully_connected"]["test_accuracy"] == 0.45
    assert thresholds["05_convolution"]["test_accuracy"] == 0.62
    assert thresholds["08_your_own_design"] == {"test_accuracy": 0.75, "epochs_at_most": 25}


# Versions


def pins() -> dict[str, list[Requirement]]:
    """The requirements of requirements.txt by package (several where Pythons differ)."""
    pinned: dict[str, list[Requirement]] = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.lstrip().startswith("#"):
            requirement = Requirement(line)
            pinned.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pinned


def test_every_requirement_is_pinned():
    for requirement in (entry for entries in pins().values() for entry in entries):
        assert re.fullmatch(r"==[0-9][^*,]*", str(requirement.specifier)), requirement


def test_direct_dependencies_are_pinned_within_their_bounds():
    project, pinned = PYPROJECT["project"], pins()
    direct = project["dependencies"] + project["optional-dependencies"]["dev"]
    for wanted in map(Requirement, direct):
        for pin in pinned[canonicalize_name(wanted.name)]:
            version = str(pin.specifier).removeprefix("==")
            assert wanted.specifier.contains(version), f"{wanted} but {pin}"


def test_jupyter_book_is_the_last_one_that_builds_offline():
    assert [str(pin) for pin in pins()["jupyter-book"]] == ["jupyter-book==1.0.4.post1"]


def test_what_the_library_imports_is_declared():
    """Colab installs the declared dependencies only, without requirements.txt.

    Grading is not done there: it may import what the extra `dev` declares.
    """
    project = PYPROJECT["project"]
    declared = names(project["dependencies"])
    with_grading = declared | names(project["optional-dependencies"]["dev"])
    optional = {"jax", "torch", "playwright"}
    providers = importlib.metadata.packages_distributions()
    for path in ROOT.glob("course_utils/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            else:
                continue
            for module in {name.split(".")[0] for name in modules}:
                if module in sys.stdlib_module_names | optional | {"course_utils"}:
                    continue
                offered = {canonicalize_name(name) for name in providers.get(module, ())}
                known = with_grading if "grading" in path.parts else declared
                assert offered & known, f"{path.name} imports {module}"


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


# Continuous integration


@pytest.mark.process
@each_workflow
def test_workflow_is_valid(path):
    command = [sys.executable, "-m", "check_jsonschema"]
    command += ["--builtin-schema", "vendor.github-workflows", str(path)]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


@each_workflow
def test_workflow_asks_for_little(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job, name
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[a-z/-]+@v\d+", step.get("uses", "actions/x@v0")), step


def test_every_supported_python_is_tested():
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    language = "Programming Language :: Python :: "
    promised = [c for c in PYPROJECT["project"]["classifiers"] if c.startswith(language)]
    assert tested == [c.removeprefix(language) for c in promised] == ["3.11", "3.12", "3.13"]


def test_the_gpu_runner_is_named_in_one_place():
    labels = [
        job["runs-on"]
        for path in WORKFLOWS
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        if not job["runs-on"].startswith("ubuntu-")
    ]
    assert labels == ["${{ vars.GPU_RUNNER }}"]


def test_ci_calls_make_test():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").rstrip().endswith("exec make test")


def test_environment_variables_are_read_on_one_page():
    """Other modules may pass PATH and PYTHONPATH on, and no more."""
    by_name = re.compile(r"(?:environ\.get\(|environ\[|getenv\()\"(?!PATH\"|PYTHONPATH\")")
    guilty = [
        path.relative_to(ROOT)
        for folder in ("course_utils", "book/_ext", "assignments")
        for path in ROOT.glob(f"{folder}/**/*.py")
        if by_name.search(path.read_text(encoding="utf-8"))
    ]
    assert guilty == []


def test_nothing_names_a_variable_that_the_page_lacks():
    named = set()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("book/*.md"), *ROOT.glob("course_utils/**/*.py")]:
        named |= set(re.findall(r"\bCOURSE_[A-Z_]+\b", path.read_text(encoding="utf-8")))
    assert named
    assert named - set(env.VARIABLES) == set()


def test_security_names_tests_that_exist():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()


# Documents


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_documents_name_paths_that_exist(name):
    """Paths in backticks, from the repository's folder or from a folder of the library."""
    bases = [ROOT, ROOT / "course_utils", ROOT / "course_utils/grading"]
    files = {
        path.name for folder in ("course_utils", "tests") for path in ROOT.glob(f"{folder}/**/*")
    }
    placeholders = re.compile(r"NAME|NN_|^(_build|tests|training|wrong_submissions|\.\./shared)/")
    text = re.sub(r"```.*?```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    named = set(re.findall(r"`([\w.-]+/[\w./-]*|\w+\.(?:py|toml|md|yml|cff))`", text))
    assert named
    wanted = {path for path in named - files if not placeholders.search(path)}
    assert {path for path in wanted if not any((base / path).exists() for base in bases)} == set()


def test_the_architecture_names_every_unit_of_the_library():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = ROOT / "course_utils"
    units = [path.name for path in package.glob("*.py") if path.stem != "__init__"]
    units += [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    assert [unit for unit in units if f"`{unit}`" not in text] == []


def test_the_reference_documents_every_public_name():
    stub = ast.parse((ROOT / "course_utils/__init__.pyi").read_text(encoding="utf-8"))
    public = [node.value for node in stub.body if isinstance(node, ast.Assign)]
    page = (ROOT / "book/api.md").read_text(encoding="utf-8")
    names = ast.literal_eval(public[0])
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []
