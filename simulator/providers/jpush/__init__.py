"""JPush, app notifications."""
