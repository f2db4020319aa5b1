"""Pure functions that estimate: advantages, ratios, state weights, normalisation."""
