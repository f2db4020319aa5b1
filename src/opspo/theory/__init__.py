"""Exact quantities of small tabular problems, against which estimators and bounds are checked."""
