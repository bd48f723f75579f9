"""Steps that the course replaces or adds in nbgrader; ``nbgrader_config.py`` lists them."""
