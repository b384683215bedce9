"""One resource per file: what a route does, told in Falcon's terms."""
