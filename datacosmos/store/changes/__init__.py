"""What is stored, as it is committed: MongoDB's change streams, and the past up to where one begins."""
