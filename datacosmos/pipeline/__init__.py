"""From the sources, through the queue, to the store."""
