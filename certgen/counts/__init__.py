"""Counting sequences: by branching, by generating polynomials, and the search for how to group them."""
