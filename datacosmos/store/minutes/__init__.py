"""Locations, averaged per minute."""
