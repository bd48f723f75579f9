"""Running untrusted programs: their sandbox, its limits, and how programs start in it."""
