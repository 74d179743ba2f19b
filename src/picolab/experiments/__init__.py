"""What parts of a model and of its training are worth: variants trained alike, then compared."""
