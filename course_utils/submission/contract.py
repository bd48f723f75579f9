"""The contract between a submission and the grader: sizes, names and types of outputs.

This module can be imported without Keras.
"""

# Largest sizes, in bytes, of one trained network and of one JSON file in a submission.
MAX_MODEL_BYTES = 50 * 2**20
MAX_JSON_BYTES = 2 * 2**20
# Numbers in one list of a structure: sizes and scales are few, and weights have their own file.
MAX_NUMBERS = 64
# Single numbers with which a structure computes, such as the 255 of `x / 255`. The deepest usual
# networks choose one for each of their 200 normalisations.
MAX_SCALARS = 256
# Folder, beside the files of a submission, that contains the predictions of its networks.
PREDICTIONS_FOLDER = ".predicted"
# MIME types of the outputs that carry an answer of the student's kernel, and the grade of a test.
ANSWER_MIME = "application/vnd.course.answer+json"
GRADE_MIME = "application/vnd.course.grade+json"
# Key in an output's metadata that hides the output from students.
LECTURER = "course_lecturer"
# Key in the metadata of a graded test: whether it earned its points by nbgrader's rule.
ORDINARY = "course_ordinary"
