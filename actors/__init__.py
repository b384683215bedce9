"""Supervised actors for any Python program, and the model-serving front-end built on them."""
