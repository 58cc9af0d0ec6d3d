"""One module a tab; each builds its components, then its listeners."""
