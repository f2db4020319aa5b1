"""Networks, action distributions, and the team's actors and critic."""
