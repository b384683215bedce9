"""What several test packages share: real servers as fixtures."""
