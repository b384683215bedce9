"""The registry: which model is served by which engine, owned by one actor."""
