"""The certificate file: facts, arguments, steps, the statement around them, and proofs told in words."""
