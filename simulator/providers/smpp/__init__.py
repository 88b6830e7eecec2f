"""SMPP 3.4: a short message service centre, spoken to by anybody who has a login."""
