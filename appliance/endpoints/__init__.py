"""Browsers on school devices: how they are let in, what they are told, and what is taken from them."""
