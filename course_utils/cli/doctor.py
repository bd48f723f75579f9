"""``course doctor``: check this machine."""

from __future__ import annotations

from rich.markup import escape

from course_utils.cli.app import app, new_console


@app.command()
def doctor() -> None:
    """Check this machine: Python, packages, backend, device, memory, disk, data, browser."""
    from course_utils.doctor import checks

    console = new_console()
    for check in checks():
        state = "[yellow]warn[/]" if check.advice else "[green]ok[/]  "
        advice = f" [yellow]{escape(check.advice)}[/]" if check.advice else ""
        console.print(
            f"{state} {escape(check.subject)}: {escape(check.found)}{advice}",
            highlight=False,
            soft_wrap=True,
        )
