"""Numbers out of the text of a table."""
