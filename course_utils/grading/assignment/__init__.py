"""Assignments as the lecturer writes them: their cells, their questions and their mistakes."""
