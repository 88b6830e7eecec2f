"""Firebase Cloud Messaging, app notifications."""
