"""How near a corrected update comes to the one that on-policy data would give."""
