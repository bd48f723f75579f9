"""Configuration of the nbgrader course, for plain ``nbgrader`` commands in this folder.

The package `course_utils.grading.nbgrader_steps` replaces some of nbgrader's steps. Scores,
formgrader and export are nbgrader's own.
"""

from pathlib import Path


def configure(c):
    """Set the options in which this course differs from nbgrader's defaults."""
    from nbgrader.preprocessors import (
        AssignLatePenalties,
        CheckCellMetadata,
        ClearHiddenTests,
        ClearMarkScheme,
        ClearOutput,
        ClearSolutions,
        ComputeChecksums,
        IncludeHeaderFooter,
        InstantiateTests,
        LockCells,
        OverwriteCells,
        OverwriteKernelspec,
        SaveCells,
    )

    from course_utils import env
    from course_utils.grading.assignment.course import check_name
    from course_utils.grading.examine.notebook import BoundedExecute
    from course_utils.grading.nbgrader_steps import (
        clean,
        collect,
        examine,
        feedback,
        intake,
        points,
        release,
        repair,
        waiting,
    )

    check_name(Path(__file__).parent)
    c.CourseDirectory.course_id = "image-classification"
    # COURSE_GRADEBOOK can name another database, such as postgresql://user@host/gradebook.
    if env.GRADEBOOK.value:
        c.CourseDirectory.db_url = env.GRADEBOOK.value
    c.CourseDirectory.ignore = [
        ".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", ".DS_Store", "*.part.keras",
    ]  # fmt: skip
    c.CourseDirectory.max_file_size = 60_000  # kB; a submitted network may have 50 MB

    # Collecting: the time of a submission is the collector's.
    c.ExchangeFactory.collect = collect.Collect
    c.ZipCollectApp.collector_plugin = collect.FileNames
    endings = [".ipynb", ".keras", ".json", ".txt"]
    c.FileNameCollectorPlugin.valid_ext = [*endings, *map(str.upper, endings)]

    # Release: nbgrader's own steps, and one that refuses what cannot be graded.
    c.GenerateAssignment.preprocessors = [
        IncludeHeaderFooter,
        InstantiateTests,
        release.CanBeGraded,
        LockCells,
        ClearSolutions,
        ClearOutput,
        CheckCellMetadata,
        ComputeChecksums,
        SaveCells,
        ClearHiddenTests,
        ClearMarkScheme,
        release.ClearAttachments,
        ComputeChecksums,
        CheckCellMetadata,
    ]
    # The header installs and starts the course (on Colab too), and gaps replace solutions.
    c.IncludeHeaderFooter.header = "source/header.ipynb"
    c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE"}
    c.ClearSolutions.text_stub = "YOUR ANSWER HERE"
    # Rubrics are in locked text cells, because formgrader shows them there.
    c.ClearMarkScheme.enforce_metadata = False
    c.ClearMarkScheme.check_attachment_leakage = False  # `ClearAttachments` removes the pictures.

    # Autograding: read and repair the submission, execute it in a sandbox, run the tests outside
    # it, and turn the grades into points.
    c.Autograde.exporter_class = intake.SubmissionExporter
    c.Autograde.sanitize_preprocessors = [
        ClearOutput,
        repair.RepairCells,
        OverwriteKernelspec,
        OverwriteCells,
    ]
    c.Autograde.autograde_preprocessors = [
        examine.Examine,
        points.GradeCells,
        points.SaveGrades,
        AssignLatePenalties,
        clean.RemoveScripts,
    ]
    # Time limits in seconds, for one cell and for one submission.
    c.BoundedExecute.timeout = c.Examine.timeout = 180
    c.BoundedExecute.total_timeout = c.Examine.total_timeout = 600
    c.AssignLatePenalties.plugin_class = points.PerDay

    # Text from a submission appears in nbgrader's log, and must not control the terminal.
    c.Application.logging_config = {
        "filters": {"printable": {"()": "course_utils.printable.PrintableRecords"}},
        "handlers": {"console": {"filters": ["printable"]}},
    }

    # Feedback: points, comments and figures; no hidden tests, no rubrics.
    c.GenerateFeedback.exporter_class = feedback.FeedbackExporter
    c.GenerateFeedback.preprocessors = [
        waiting.GetGradesAndWaiting,
        feedback.HideFromStudents,
        feedback.PageStyle,
    ]
    c.Validator.preprocessors = [CheckCellMetadata, ClearOutput, BoundedExecute]


c = get_config()  # noqa: F821  (nbgrader defines it)
try:
    configure(c)
except Exception as error:
    # nbgrader would continue without these settings and run submissions with your rights.
    raise SystemExit(f"nbgrader_config.py: {type(error).__name__}: {error}") from error
