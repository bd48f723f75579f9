"""Every limit on what a submission may take, with its unit and its reason.

The sizes of the files that students hand in, and of the structures of networks, are in
`course_utils.submission.contract`, because the student's notebook checks them too.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

# The notebook

# Bytes of the file. A notebook with all its figures has 2 MB.
MAX_NOTEBOOK_BYTES = 20 * 2**20
# Objects and lists in its JSON: in memory, each takes up to hundreds of bytes.
MAX_NOTEBOOK_PARTS = 500_000
# Values in its JSON: numbers and short texts take some dozens of bytes. An interactive figure can
# have a million; it is one of the outputs, which are read but not kept.
MAX_NOTEBOOK_VALUES = 5_000_000
# Cells: every step of nbgrader takes time for each. The longest assignment has 60.
MAX_CELLS = 2_000
# Characters of a cell. A picture that Colab pastes into a text takes some hundreds of thousands.
MAX_CELL_CHARACTERS = 1_000_000

# The folder that was handed in

# Files and folders. nbgrader lists a folder anew for each file in it: 200 files take a second, and
# 1,000 take twenty.
MAX_FILES = 200
# Nested folders: programs that walk through more of them fail.
MAX_DEPTH = 20
# Bytes of a path in the folder. The system takes 4,096 with everything above it.
MAX_PATH_BYTES = 500
# Bytes of a name: systems take no longer ones, but archives can hold them.
MAX_NAME_BYTES = 255
# Bytes of all files together: fewer than a sandbox has room for.
MAX_FILES_BYTES = 200 * 2**20
# Notebooks of a submission among which the one to grade is searched. Reading the largest takes a
# second.
MAX_NOTEBOOKS = 10
# Archives of a submission that are opened. Reading the worst takes a second.
MAX_ARCHIVES = 20
# Files in an archive, counting those in networks in it. Listing each takes memory.
MAX_MEMBERS = 1_000
# Bytes of all headers of an archive of `tar`: 2 kB for each file. Names and lists in headers take
# up to a hundred times as much memory.
MAX_HEADER_BYTES = 2 * 2**20
# Bytes of memory for reading an archive that `xz` has compressed; its highest level takes 65 MB.
MAX_XZ_BYTES = 128 * 2**20
# Bytes of the file with the time of the submission.
MAX_TIMESTAMP_BYTES = 100

# The folders that submissions see as data

# Files and folders among which a course is searched; it takes some hundredths of a second.
MAX_SEARCHED = 10_000

# Messages between the grader and a program in a sandbox

# Bytes of one message from a kernel. A larger one is dropped together with its connection: the
# same JSON can take fifty times as much memory.
MAX_MESSAGE_BYTES = 16 * 2**20
# Bytes that a kernel may send in all, on all its sockets: the client keeps much of it in memory.
MAX_SENT_BYTES = 256 * 2**20
# Characters of a test's output, and of a grade's message.
MAX_PRINTED = 20_000
# Characters of a cell's output that are not shown until the cell is interrupted, and as many again
# until its kernel is ended. A training that prints each step sends a million; a loop that never
# ends sends as many within a minute.
MAX_LEFT_OUT = 2 * 2**20
# Bytes of one answer from the predictor: far more than the probabilities of all images.
MAX_ANSWER_BYTES = 64 * 2**20
# Seconds for a kernel to take a message: a dropped connection takes none, and does not say so.
SEND_SECONDS = 10
# Seconds after its time is up, or after an interrupt because of endless output, until a kernel is
# killed: a kernel that never stops sending keeps its client from looking at the clock.
LAST_SECONDS = 5

# Seconds in which the exit code of a program that has ended must arrive.
EXIT_CODE_SECONDS = 5

# A network's archive

# Bytes of the structure, as JSON.
MAX_CONFIG_BYTES = 4 * 2**20
# Unpacked bytes for each packed one: weights hardly shrink, a structure shrinks twentyfold.
MAX_RATIO = 100

# Reading

# Seconds of processor time in which a submission must be read: the most that the limits on archives
# and notebooks allow takes half of it on a slow machine.
READ_SECONDS = 60
# Seconds after which a reader that takes no processor time is ended.
READ_WAIT_SECONDS = 600

# Cleaning and rendering

# Seconds of processor time for one renderer. 20 MB of figures take half of one, and a table of
# 10,000 rows takes three.
SHOW_SECONDS = 5
# Seconds until a renderer is ended that takes no processor time.
SHOW_WAIT_SECONDS = 120
# Renderers for one notebook, one after the other. When all have ended, nothing more of the notebook
# is shown: each one keeps the grader waiting.
SHOW_RENDERERS = 4
# Columns of a table: a browser takes far more time for many columns than for as many rows. Tables
# of pandas show 20 unless they are told otherwise.
MAX_COLUMNS = 500
# Bytes of a page: three times the largest notebook.
MAX_PAGE_BYTES = 60 * 2**20

# The sandbox

# Seconds between two measurements of what a sandbox takes.
WATCH_SECONDS = 0.25
# Seconds of a wait in which nobody looks at a clock: looking takes longer than most waits.
UNCLOCKED_SECONDS = 1
# Seconds until the processes of a control group have ended, after which the group is left behind.
GROUP_SECONDS = 5
# SIGKILLs that one program may send: each is decided outside the sandbox, which takes time there. A
# notebook that starts other programs sends a few.
MAX_KILLS = 1_000
# Times its limit that a program's work may take altogether. Only its own time counts for the limit,
# without the time in which it waited for a core, so that others cannot use its time up.
BACKSTOP = 10
# Seconds of processor time of which the system may have lost track without a control group: it
# rounds to hundredths of a second. Where more is lost, all time counts as a program's own.
MAX_LOST_SECONDS = 0.5
# Bytes that an open file counts as: the most that a socket's buffer can hold, which is its usual
# size of 208 kB and one message of that size. The system shows how many files are open, but not
# what is in the buffers. A kernel has about 60 open files.
BUFFER_BYTES = 416 * 2**10


@dataclass(frozen=True)
class Limits:
    """What all programs in one sandbox may take.

    Attributes
    ----------
    memory : int
        Bytes of all processes together.
    address_space : int
        Bytes that one process may reserve; TensorFlow reserves far more than it uses. Not limited
        if there is a GPU.
    processes : int
        Processes and threads.
    file : int
        Bytes of one file.
    open_files : int
        Open files of one process, including sockets and pipes.
    disk : int
        Bytes of all written files, which are kept in memory.
    files : int
        Written files and folders.
    processor : int
        Seconds of processor time of one process; the system ends it with SIGXCPU.
    """

    memory: int = 4 * 2**30
    address_space: int = 32 * 2**30
    processes: int = 256
    file: int = 256 * 2**20
    open_files: int = 1024
    disk: int = 768 * 2**20
    files: int = 50_000
    processor: int = resource.RLIM_INFINITY


# The predictor runs a network that is not trusted, and writes next to nothing.
PREDICTOR_LIMITS = Limits(disk=96 * 2**20)

# The reader's: it holds all files of a submission, and unpacked archives of as many bytes.
READ_LIMITS = Limits(
    memory=2 * 2**30, address_space=4 * 2**30, disk=48 * 2**20, processor=READ_SECONDS
)

# The renderer's. The largest notebook takes a third of this memory.
SHOW_LIMITS = Limits(memory=2**30, address_space=2 * 2**30, disk=48 * 2**20, processor=SHOW_SECONDS)
