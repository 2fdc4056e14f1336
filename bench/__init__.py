"""How fast the product is, against a bare page on the same rows."""
