"""One action on every customer of a filtered list, refused when the list is not the one that was looked at any more."""
