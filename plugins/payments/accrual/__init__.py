"""What charges bear for delay: dated rates, regimes, claims, and the interest that a payment meets.

Rules and their SQL, below the ledger's own store; the pages of interest stand above it.
"""
