"""Users, customers, service points and access grants: the registers that everything else may refer to."""
