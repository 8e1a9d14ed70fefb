"""Grids and searches of trainings: planned, run as resumable jobs, and reported."""
