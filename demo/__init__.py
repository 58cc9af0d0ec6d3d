"""The page: what a visitor sees, and the labels that visitors leave."""
