"""Interest for delay: rates, regimes, notes, and what a payment on another day would change.

What the part declares stands in ``declarations.py``: the ledger's own store imports the rules of interest, so importing
this package imports nothing.
"""
