"""The contract between a submission and the grader: sizes, names and types of outputs.

This module is read without importing Keras.
"""

# Bytes of one trained network, and of one JSON file, of a submission.
MAX_MODEL_BYTES = 50 * 2**20
MAX_JSON_BYTES = 2 * 2**20
# The folder, beside the files of a submission, that holds the predictions of its networks.
PREDICTIONS_FOLDER = ".predicted"
# MIME types of the outputs that carry an answer of the student's kernel, and the grade of a test.
ANSWER_MIME = "application/vnd.course.answer+json"
GRADE_MIME = "application/vnd.course.grade+json"
# The key that marks, in an output's metadata, what only the lecturer sees.
LECTURER = "course_lecturer"
