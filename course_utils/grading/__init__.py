"""Grading: the functions of hidden tests, the steps of nbgrader, and the lecturer's commands."""
