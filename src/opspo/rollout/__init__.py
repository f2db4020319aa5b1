"""Collecting experience: the same `Trajectory` out of every kind of environment."""
