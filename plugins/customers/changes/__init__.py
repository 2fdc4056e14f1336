"""What became of a customer's data and of premises: who changed what, when, and how it was on a day."""
