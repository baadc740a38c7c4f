"""What each minute and hour of a series adds up to, derived from its points; it can be thrown away and made again."""
