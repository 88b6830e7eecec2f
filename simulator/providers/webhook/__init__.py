"""A subscriber of signed webhooks, and a service that Apprise writes to."""
