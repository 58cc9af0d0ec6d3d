"""What holds for every test: nothing is fetched. The language model counts as missing, unless a folder with
it is named in SPOOFLENS_LLM by whoever runs the tests."""

import os

os.environ.setdefault("SPOOFLENS_LLM", "no language model in tests")
