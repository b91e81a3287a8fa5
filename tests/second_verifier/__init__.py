"""A second verifier, written from schemas/CERTIFICATE.md and docs/rules.md alone. It shares no code with checker/ and certgen/.

python -m tests.second_verifier MODEL CERTIFICATE [--problem PROBLEM]
"""
