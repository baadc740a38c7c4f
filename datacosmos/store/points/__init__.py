"""Readings as points and discards, and the receipts of their messages."""
