"""Facts about one model, searched in exact arithmetic or float64 and rounded outward once."""
