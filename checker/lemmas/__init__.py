"""What rules are made of: each file is one lemma or definition of docs/rules.md."""
