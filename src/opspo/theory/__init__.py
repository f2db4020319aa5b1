"""Exact quantities of small tabular problems, to hold estimators and bounds against."""
