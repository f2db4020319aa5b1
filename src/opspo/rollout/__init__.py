"""Collecting experience: every kind of environment yields the same `Trajectory`."""
