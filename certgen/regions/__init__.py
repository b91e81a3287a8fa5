"""Regions of inputs and proofs about them: one attention layer with any heads, an MLP, any task an automaton labels."""
