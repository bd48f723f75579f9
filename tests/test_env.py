"""Environment variables: what their values mean, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils import env
from course_utils.errors import RuntimeSetupError


@pytest.mark.parametrize(
    ("value", "number"), [(None, None), ("", None), ("0.25", 0.25), ("4", 4.0), ("0", 0.0)]
)
def test_a_number(monkeypatch, value, number):
    monkeypatch.delenv(env.RETRAIN.name, raising=False)
    if value is not None:
        monkeypatch.setenv(env.RETRAIN.name, value)
    assert env.RETRAIN.number == number


@pytest.mark.parametrize("value", ["a quarter", "0,25", "1/4"])
def test_another_text_is_no_number(monkeypatch, value):
    monkeypatch.setenv(env.RETRAIN.name, value)
    with pytest.raises(RuntimeSetupError, match=f"COURSE_RETRAIN is '{value}': set a number"):
        _ = env.RETRAIN.number


@pytest.mark.parametrize(
    ("value", "on"), [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)]
)
def test_a_switch(monkeypatch, value, on):
    monkeypatch.delenv(env.OFFLINE.name, raising=False)
    if value is not None:
        monkeypatch.setenv(env.OFFLINE.name, value)
    assert env.OFFLINE.is_on is on


def test_a_path_is_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(env.DATA.name, "images")
    assert env.DATA.path == tmp_path / "images"
    monkeypatch.setenv(env.DATA.name, "~/images")
    assert env.DATA.path == Path.home() / "images"
    monkeypatch.setenv(env.DATA.name, "../images")
    assert env.DATA.path == tmp_path.parent / "images"
