"""Readers of data sets: a folder of annotations and pictures becomes a `Reading`."""
