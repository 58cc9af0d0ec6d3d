"""What holds for every test: nothing is fetched. The language model counts as missing, unless a folder with
it is named in SPOOFLENS_LLM by whoever runs the tests."""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("SPOOFLENS_LLM", "no language model in tests")


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Training where sums come out alike every time; torch's threads are left as they were."""
    import torch  # here, so that tests of plain code do not wait for it

    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
