"""An assignment as the lecturer writes it: its cells, its questions, and what is wrong with it."""
