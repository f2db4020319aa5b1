"""Checks that an environment matches its specification, for `opspo.check_env` and `train`."""
