"""Tests, beside what they test: checker/ and certgen/ mirror the two sides, rules/ has one file a rule.

support/ has what they share: tiny models, an oracle that knows the truth about them, attackers, and the corpus of
certificates/. After a change that is meant to be seen in it:

    python -m tests.make_corpus        # writes the files
    python -m tests.support.corpus     # records what check-cert says about each, in certificates/verdicts.tsv
    python -m tests.support.derived    # records what rules derive from them, in certificates/derived.tsv
"""
