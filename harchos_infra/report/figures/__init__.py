"""The figures of all pages: each is drawn at a width, and says the same in words and as a table."""
