"""Numbers of a customer that only an office needs: PESEL, REGON, the account for refunds."""
