"""Mutants: certificates that are changed in one place, and checkers that are. What survives has to be harmless."""
