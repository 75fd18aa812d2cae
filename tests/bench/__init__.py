"""`make bench`: what the product costs on this machine."""
