"""Executors: each runs notebooks somewhere, and is one file."""
