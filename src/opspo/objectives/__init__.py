"""Pure functions that are maximised or minimised."""
