"""Films of trained teams: one episode as GIF or MP4."""
