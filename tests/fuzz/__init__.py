"""Fuzzing of the checker: whatever the bytes, it returns a verdict or raises a Refusal, and does so soon."""
