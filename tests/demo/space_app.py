"""Run by test_space.py in a process of its own: app.py on something like a Space that lends GPUs.

Arguments: the port; a file that takes, as JSON, what the data set repository holds when the app has stopped.
Stand-ins: the package `spaces`, the hub's client, and detectors that refuse to use CUDA without a GPU.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.demo.signing_in import KEYS

#: Seconds of the quota: enough for one clip.
QUOTA = 20.0


def main(port: str, kept: Path) -> int:
    os.environ |= {**KEYS, "SPACES_ZERO_GPU": "true", "GRADIO_SERVER_NAME": "127.0.0.1"}
    os.environ["SPOOFLENS_LABEL_REPO"] = "me/labels"
    sys.path.insert(0, str(Path(__file__).parent / "space"))
    import gradio as gr
    import spaces

    import app
    from demo.loaded import DetectorSource
    from detectors.labels import mirror
    from tests.demo.on_a_space import GpuSource
    from tests.labels.fake_hub import FakeHub

    spaces.State.left = QUOTA
    hub = FakeHub()
    mirror.HfApi = lambda: hub  # type: ignore[misc, assignment, attr-defined]
    DetectorSource.of = classmethod(  # type: ignore[method-assign, assignment]
        lambda cls, versions: GpuSource(spaces.inside).source()
    )
    launch = gr.Blocks.launch

    def launching(blocks: gr.Blocks, *args: Any, **options: Any) -> Any:
        """As the real package does: what is decorated from now on comes too late."""
        assert spaces.State.decorated, "no function was given to spaces.GPU"
        spaces.State.launched = True
        return launch(blocks, *args, **options)

    gr.Blocks.launch = launching  # type: ignore[method-assign]
    try:
        return app.main(["--port", port])
    finally:
        kept.write_text(json.dumps({name: content.decode("latin-1") for name, content in hub.files.items()}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
