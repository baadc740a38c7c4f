"""Series that somebody stored, and owns."""
