"""`opspo bench`: timings on this machine."""
