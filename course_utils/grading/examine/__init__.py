"""Examining one submission: its notebook runs in a sandbox, its tests outside of it."""
