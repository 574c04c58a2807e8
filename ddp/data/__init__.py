"""Data sets, where they come from, and the order in which their samples are taken."""
