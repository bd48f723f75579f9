"""The contract between a submission and the grader: sizes, names and types of outputs.

This module can be imported without Keras.
"""

# Largest sizes, in bytes, of one trained network and of one JSON file in a submission.
MAX_MODEL_BYTES = 50 * 2**20
MAX_JSON_BYTES = 2 * 2**20
# Folder, beside the files of a submission, that contains the predictions of its networks.
PREDICTIONS_FOLDER = ".predicted"
# MIME types of the outputs that carry an answer of the student's kernel, and the grade of a test.
ANSWER_MIME = "application/vnd.course.answer+json"
GRADE_MIME = "application/vnd.course.grade+json"
# Key in an output's metadata that hides the output from students.
LECTURER = "course_lecturer"
# Key in the metadata of a graded test: whether it earned its points by nbgrader's rule.
ORDINARY = "course_ordinary"
