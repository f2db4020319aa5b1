"""Whether an environment is what its specification says: `opspo.check_env`, and `train` first."""
