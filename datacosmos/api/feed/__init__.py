"""Changes as they are stored, for whoever listens."""
