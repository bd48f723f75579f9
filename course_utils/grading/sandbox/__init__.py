"""Running a program that is not trusted: where, within which limits, and how it starts."""
