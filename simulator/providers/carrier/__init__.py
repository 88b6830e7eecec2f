"""What gateways of short message carriers share: parts of long messages, receipts over sessions, limits of a link."""
