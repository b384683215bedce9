"""Engines: whatever turns an OpenAI request into tokens, behind one contract."""
