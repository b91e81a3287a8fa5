"""What several rules have in common, one lemma of docs/rules.md a file."""
