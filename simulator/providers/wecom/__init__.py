"""WeCom: application messages and group robots."""
