"""Files of weights: reading and writing them, names for them, and imports from other projects."""
