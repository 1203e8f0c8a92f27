"""Secrets at rest: keys, seals and the vault; knows neither HTTP nor SQL.

`keys` reads what the administrator gave, `sealing` encrypts one value, `vault` is what routes and
the gateway use inside their transactions, `rotation` moves everything to a new key.
"""
