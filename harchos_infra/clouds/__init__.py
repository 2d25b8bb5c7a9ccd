"""One adapter per cloud: list what is ours there, delete it."""
