"""Premises and who had them when: flats, garages, meters that stand by themselves while people come and go."""
