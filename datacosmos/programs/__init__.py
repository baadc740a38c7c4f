"""How the programs are put together, started, watched and stopped."""
