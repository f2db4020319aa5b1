"""A run from its start to its end: learner, loop, what is recorded, resuming."""
