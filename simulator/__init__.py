"""The outside world on loopback: strict stand-ins for the providers that UMS speaks to.

Nothing here is imported by the product; an account's base URL points at it like at any provider.
Only the standard library and aiohttp are used, so that it also runs beside an installation.
"""
