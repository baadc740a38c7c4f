"""The one intake of JSON: what is read, and what is wrong with what is not, whoever sends it."""
