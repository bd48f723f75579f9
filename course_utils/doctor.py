"""The checks of `course doctor`: whether this machine is ready, and what to do if it is not."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from course_utils import runtime
from course_utils.data import SPECS, find_sources
from course_utils.errors import CourseError, DataError, SandboxError

PYTHONS = ((3, 11), (3, 13))
TOOLS = ("papermill", "jupyter-book", "nbgrader")
MEMORY_GB = 4
DISK_GB = 3
ONLY_GRADING = "Only grading needs it."
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Check(NamedTuple):
    """One line of the report.

    Attributes
    ----------
    subject, found : str
        What was checked, and the result.
    advice : str
        What to do; empty if all is well.
    """

    subject: str
    found: str
    advice: str = ""


def checks() -> Iterator[Check]:
    """Check this machine, and yield each result."""
    yield _python()
    yield from _packages()
    backend = list(_backend())
    yield from backend
    yield _memory()
    yield _disk("disk, here", Path.cwd())
    yield _disk("disk, cache", runtime.cache_dir())
    for dataset in SPECS:
        yield from _data(dataset)
    if not any(check.advice for check in backend):  # the module of the weights imports Keras
        yield _weights()
    yield from _sandbox()
    yield _browser()


def quiet_setup() -> runtime.Runtime:
    """Call `setup` without the line that it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return runtime.setup()


def _python() -> Check:
    low, high = (".".join(map(str, version)) for version in PYTHONS)
    fits = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    advice = "" if fits else f"Use Python {low} to {high}, and create the environment again."
    return Check("python", f"{sys.version.split()[0]} ({sys.executable})", advice)


def _packages() -> Iterator[Check]:
    versions = {name: found for name, found in runtime.versions().items() if name != "python"}
    versions |= {name: runtime.package_version(name) for name in TOOLS}
    for name, found in versions.items():
        missing = found == runtime.NOT_INSTALLED
        yield Check(name, found, "pip install -r requirements.txt" if missing else "")


def _backend() -> Iterator[Check]:
    try:
        ready = quiet_setup()
    except CourseError as error:
        yield Check("backend", runtime.chosen_backend(), str(error))
        return
    yield Check("backend", ready.backend)
    yield Check("device", ready.device)
    yield Check("precision", ready.precision)
    yield Check("cores", str(runtime.available_cores()))


def _memory() -> Check:
    memory = psutil.virtual_memory()
    found = f"{memory.available / 1e9:.1f} GB free of {memory.total / 1e9:.1f} GB"
    enough = memory.available >= MEMORY_GB * 1e9
    advice = f"Close other programs: training needs {MEMORY_GB} GB."
    return Check("memory", found, "" if enough else advice)


def _disk(subject: str, folder: Path) -> Check:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    advice = f"Free some space: data and results need {DISK_GB} GB."
    enough = free >= DISK_GB * 1e9
    return Check(subject, f"{free / 1e9:.1f} GB free ({folder})", "" if enough else advice)


def _data(dataset: str) -> Iterator[Check]:
    """Check each place where a data set is searched; only using the stand-in is a warning."""
    rungs = find_sources(dataset)
    used = next((rung for rung in rungs if rung.found), None)
    for rung in rungs:
        mark = ", used" if rung is used else ""
        found = f"{rung.location} ({rung.detail}{mark})" if rung.location else rung.detail + mark
        advice = ""
        if rung is used and rung.rung == "stand-in":
            advice = "Put the data into ./data, or set COURSE_DATA to their path."
        yield Check(f"{dataset}, {rung.rung}", found, advice)


def _weights() -> Check:
    from course_utils.transfer import weights

    subject = "ImageNet weights"
    try:
        found = weights.local_weights(weights.MOBILENET)
    except DataError as error:
        return Check(subject, "damaged", str(error))
    if found:
        return Check(subject, str(found))
    advice = f"Only transfer learning needs them. {weights.how_to_get(weights.MOBILENET)}"
    return Check(subject, "not on this machine", advice)


def _sandbox() -> Iterator[Check]:
    """Check all that a sandbox needs; sandboxes are tried only where their programs are there."""
    from course_utils.grading.sandbox import bubblewrap, cgroups, obstacles, seccomp

    programs = {
        "bubblewrap": bubblewrap.find_bubblewrap,
        "libseccomp": lambda: seccomp.library()._name,
    }
    found = [_program(subject, find) for subject, find in programs.items()]
    yield from found
    if any(check.advice for check in found):
        return
    needs_them = obstacles.needs_user_namespace()
    try:
        bubblewrap.Sandbox().close()
    except SandboxError as error:
        advice = f"{ONLY_GRADING} {error}"
        if obstacles.TOO_OLD in advice:
            yield Check("bubblewrap", "too old", advice)
        else:
            yield Check("user namespaces" if needs_them else "sandbox", "not allowed", advice)
        return
    yield Check("user namespaces", "allowed" if needs_them else "not needed by root here")
    limited = ", ".join(sorted(cgroups.controllers()))
    groups = f"control groups for {limited}" if limited else "without control groups"
    yield Check("sandbox", f"bubblewrap, {groups}")


def _program(subject: str, find: Callable[[], str]) -> Check:
    try:
        return Check(subject, find())
    except SandboxError as error:
        return Check(subject, "not found", f"{ONLY_GRADING} {error}")


def _browser() -> Check:
    found = next(filter(None, map(shutil.which, BROWSERS)), None) or _playwright_browser()
    advice = "Only the tests of the book's pages need it: playwright install chromium."
    return Check("chromium", found or "not found", "" if found else advice)


def _playwright_browser() -> str | None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None
