"""Exact integers, matrices and enclosures: no model, no file, no rule."""
