"""Fault tests: real processes are killed, frozen and cut off while they send; then rows and ledger are compared."""
