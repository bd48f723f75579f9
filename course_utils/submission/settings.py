"""What holds for every submission; read without importing Keras."""

MAX_MODEL_BYTES = 50 * 2**20
MAX_JSON_BYTES = 2 * 2**20
# The part of the submissions, 0 to 1, whose networks are trained again while they are graded.
RETRAIN = "COURSE_RETRAIN"
# nbgrader says in it what it executes a notebook for.
GRADING = "NBGRADER_EXECUTION"
