"""Random programs, run on PyTorch and on this library side by side.

A program is a list of statements, each one line of Python in which `torch` is the library. The
writer makes them up one after another from a seed, looking at what PyTorch's side holds; the duel
runs each on both sides and compares; the shrinker cuts a program that differs down to the
statements that are needed for it.
"""
