"""The great campaign: a rehearsal of a whole installation with every rule on, while workers are killed."""
