"""The steps of nbgrader that the course replaces or adds; ``nbgrader_config.py`` names them."""
