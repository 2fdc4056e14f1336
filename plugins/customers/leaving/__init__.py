"""How a customer leaves the register: closed, deceased, deleted while new, or removed for good."""
