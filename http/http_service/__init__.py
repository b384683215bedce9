"""The HTTP service: OpenAI's API on Falcon and Waitress, every request asking the registry."""
