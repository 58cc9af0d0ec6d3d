"""What holds for every test: nothing is fetched. The language model counts as missing, unless whoever runs the
tests names a folder with it in SPOOFLENS_LLM."""

import os

os.environ.setdefault("SPOOFLENS_LLM", "no language model in tests")
