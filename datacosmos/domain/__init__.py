"""What readings are and how they are judged: no I/O, no clock, no framework."""
