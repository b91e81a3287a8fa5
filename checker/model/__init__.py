"""One model: its file, its exact circuits, its attention weights."""
