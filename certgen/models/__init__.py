"""Model files: reading and writing, importing, training, and the circuits of one model."""
