"""``course doctor``: check this machine."""

from __future__ import annotations

from course_utils.cli.app import app, new_console
from course_utils.colours import GOOD, WARNING
from course_utils.printable import escape


@app.command()
def doctor() -> None:
    """Check this machine: packages, device, memory, disk, data, weights, sandbox, browser."""
    from course_utils.doctor import checks

    console = new_console()
    for check in checks():
        state = f"[{WARNING}]warn[/]" if check.advice else f"[{GOOD}]ok[/]  "
        advice = f" [{WARNING}]{escape(check.advice)}[/]" if check.advice else ""
        console.print(
            f"{state} {escape(check.subject)}: {escape(check.found)}{advice}",
            highlight=False,
            soft_wrap=True,
        )
