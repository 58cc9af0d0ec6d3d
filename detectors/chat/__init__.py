"""The conversation about one clip: facts computed in code, answers checked against them."""
