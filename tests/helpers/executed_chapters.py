"""Executed chapters, and what must hold for all of them."""

from course_utils.paths import CHECKOUT

CHAPTERS = sorted((CHECKOUT / "book").glob("[0-9][0-9]_*.ipynb"))
# Options of papermill with which a chapter takes seconds, as README prints them.
SHORT = ("-p", "epochs", "1", "-p", "limit", "1000", "-p", "data_path", "stand-in")


def assert_fit_to_be_shown(executed, *data_names):
    """Nothing on standard error, and every figure described, with the data that it shows."""
    for cell in executed.cells:
        for result in cell.get("outputs", []):
            assert result.get("name") != "stderr", (cell.id, result.text)
            if "image/png" in result.get("data", {}):
                alt = result.metadata.get("image/png", {}).get("alt", "")
                assert len(alt) > 20, f"the figure of cell {cell.id} has no alternative text"
                honest = any(name in alt for name in (*data_names, "recorded runs"))
                drawn = "no-data" in cell.metadata.get("tags", ())
                assert honest or drawn, (
                    f"the figure of cell {cell.id} must name its data in its alternative text; a "
                    "figure that shows no data has the tag no-data"
                )
