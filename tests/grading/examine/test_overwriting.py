"""A carriage return overwrites a line of the output, as in a terminal."""

from __future__ import annotations

import time

import pytest
from nbformat.v4 import new_output

from course_utils.grading.examine.notebook import _overwrite


def shown(*texts: str) -> str:
    """Return what is shown of texts that a cell prints one after the other."""
    outputs: list = []
    for text in texts:
        content = {"name": "stderr", "text": text}
        _overwrite(content, outputs)
        if outputs:
            outputs[-1].text += content["text"]
        else:
            outputs.append(new_output("stream", **content))
    return outputs[0].text


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a\r", "b\r", "c"], "c"),
        (["\r 10%", "\r 20%", "\r100%\n", "done"], "100%\ndone"),
        (["first\nsecond", "\rthird"], "first\nthird"),
        (["a\r\nb\r\n"], "a\nb\n"),
        (["plain", " text\n"], "plain text\n"),
        (["a\rb\rc\nd\re"], "c\ne"),
        (["10%\r", "20%\r", "\n"], "20%\n"),
    ],
)
def test_a_line_is_overwritten(texts, expected):
    assert shown(*texts) == expected


def test_a_long_bar_takes_little_time_and_place():
    start = time.process_time()
    assert shown(*(f"\r{number:>80}" for number in range(50_000))).strip() == "49999"
    assert shown("x" * 1_000_000, "\r" * 1_000_000, "y\r" * 1_000_000) == "y\r"
    assert time.process_time() - start < 5


def test_another_stream_is_left_alone():
    outputs = [new_output("stream", name="stdout", text="a")]
    content = {"name": "stderr", "text": "\rb"}
    assert _overwrite(content, outputs) == 0
    assert (outputs[0].text, content["text"]) == ("a", "b")
