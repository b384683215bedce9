"""Discovery: what workers announce, turned into messages to the registry."""
