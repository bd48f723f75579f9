"""Examining one submission: its notebook runs in a sandbox, and its tests run outside it."""
