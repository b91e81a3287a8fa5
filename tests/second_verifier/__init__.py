"""A second verifier, written from schemas/CERTIFICATE.md and docs/rules.md alone: no code of checker/ or certgen/.

python -m tests.second_verifier MODEL CERTIFICATE [--problem PROBLEM]
"""
