"""Pure functions that training maximises or minimises."""
