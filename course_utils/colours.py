"""Every colour of the course's figures and terminal output, by its meaning.

No colour carries a meaning alone: series in a figure also differ in dashes and markers, and a
coloured word in the terminal says the same as its colour.
"""

from __future__ import annotations

# Figures

# Seaborn's name of the palette for series of data; its colours differ for colour-blind readers.
PALETTE = "colorblind"
# Matplotlib's names of the colour maps for images without colour, and for numbers of images.
GREY_IMAGE, COUNTS = "gray", "Blues"
# Lines that mark a threshold or a baseline.
REFERENCE = "black"
# The name of the data under a figure, and the name of a stand-in.
SOURCE, STAND_IN = "#595959", "#9c2a00"

# Terminal: Rich's names of styles

GOOD, WARNING, BAD = "green", "yellow", "red"
# Text that is neither good nor bad.
NEUTRAL = "default"
