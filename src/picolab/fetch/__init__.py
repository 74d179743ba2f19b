"""Weights of metrics and sets of test pictures, from where their makers put them."""
