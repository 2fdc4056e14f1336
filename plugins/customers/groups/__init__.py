"""Groups of customers: put together by hand, or described by a rule that is kept."""
