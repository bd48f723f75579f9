"""Grading: what hidden tests call, what nbgrader runs, and what the lecturer's commands do."""
