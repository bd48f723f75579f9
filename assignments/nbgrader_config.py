"""The nbgrader course: what plain ``nbgrader`` commands in this folder do.

Grading differs from nbgrader's own in what `course_utils.grading.nbgrader_steps` says;
scores, formgrader, feedback and export are nbgrader's.
"""


def configure(c):
    """Set what is the course's own."""
    from nbgrader.preprocessors import (
        AssignLatePenalties,
        CheckCellMetadata,
        ClearOutput,
        GetGrades,
        OverwriteCells,
        OverwriteKernelspec,
    )

    from course_utils import env
    from course_utils.grading.examine.notebook import BoundedExecute
    from course_utils.grading.nbgrader_steps import clean, examine, feedback, intake, points, repair

    c.CourseDirectory.course_id = "image-classification"
    # Another database, such as postgresql://user@host/gradebook: name it in COURSE_GRADEBOOK.
    if env.GRADEBOOK.value:
        c.CourseDirectory.db_url = env.GRADEBOOK.value
    c.CourseDirectory.ignore = [
        ".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", ".DS_Store", "*.part.keras",
    ]  # fmt: skip
    c.CourseDirectory.max_file_size = 60_000  # kB: a handed-in network may have 50 MB

    # Released: install and start (Colab too), and answers as gaps that run.
    c.IncludeHeaderFooter.header = "source/header.ipynb"
    c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE"}
    c.ClearSolutions.text_stub = "YOUR ANSWER HERE"
    # Rubrics stand in locked text cells, where formgrader shows them.
    c.ClearMarkScheme.enforce_metadata = False

    # Autograded: read whatever was handed in, repair, execute in a sandbox, examine from outside,
    # turn grades to points.
    c.Autograde.exporter_class = intake.SubmissionExporter
    c.Autograde.pre_convert_hook = intake.receive
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
    # Seconds for one cell, and for one submission.
    c.BoundedExecute.timeout = c.Examine.timeout = 180
    c.BoundedExecute.total_timeout = c.Examine.total_timeout = 600
    c.AssignLatePenalties.plugin_class = points.PerDay

    # Feedback: points, comments and figures; no hidden tests, no rubrics.
    c.GenerateFeedback.exporter_class = feedback.FeedbackExporter
    c.GenerateFeedback.preprocessors = [
        GetGrades,
        feedback.HideFromStudents,
        feedback.PageStyle,
    ]
    c.Validator.preprocessors = [CheckCellMetadata, ClearOutput, BoundedExecute]


c = get_config()  # noqa: F821  (nbgrader gives it)
try:
    configure(c)
except Exception as error:
    # nbgrader would go on without these settings, and run submissions with your rights.
    raise SystemExit(f"nbgrader_config.py: {type(error).__name__}: {error}") from error
