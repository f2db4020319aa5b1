"""Many runs and what they say together: studies, statistics, figures, reports."""
