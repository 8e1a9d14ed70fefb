"""Where a training's numbers go: a CSV file, and W&B."""
