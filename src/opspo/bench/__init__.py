"""`opspo bench`: how fast, on this machine."""
