"""The programs that run inside a sandbox."""
