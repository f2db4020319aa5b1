"""Films of trained teams: one episode as a GIF or MP4."""
