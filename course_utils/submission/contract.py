"""What holds for every submission; read without importing Keras."""

MAX_MODEL_BYTES = 50 * 2**20

MAX_JSON_BYTES = 2 * 2**20

# The part of the submissions, 0 to 1, whose networks are trained again while they are graded.
# The examiner of one submission finds 1 or 0 in it.
RETRAIN = "COURSE_RETRAIN"

# nbgrader says in it what it executes a notebook for.
GRADING = "NBGRADER_EXECUTION"

# Set where somebody else carries out the tests: the notebook's own checks are then silent.
EXAMINED = "COURSE_EXAMINED"

# Names the folder of what handed-in networks have predicted, before the notebook runs.
PREDICTED = "COURSE_PREDICTED"

# That folder's name, beside what was handed in.
AHEAD = ".predicted"

# Under which an output of the notebook's program carries an answer, or a test's output its grade.
ANSWER_MIME = "application/vnd.course.answer+json"

GRADE_MIME = "application/vnd.course.grade+json"

# In the metadata of an output that only the lecturer sees.
LECTURER = "course_lecturer"
