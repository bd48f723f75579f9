"""Executors: each one runs notebooks in its own way, and is one file."""
