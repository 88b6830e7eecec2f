"""Apple Push Notification service, app notifications over HTTP/2."""
