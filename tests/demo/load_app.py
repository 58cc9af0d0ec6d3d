"""Run by test_load.py in a process of its own, whose memory is watched: app.py, with fake detectors if asked.

Arguments: "fake" or "mini"; then those of app.py.
"""

import sys


def main(detectors: str, arguments: list[str]) -> int:
    import app
    from demo.loaded import DetectorSource
    from tests.demo.fake_detectors import FakeSource

    if detectors == "fake":
        DetectorSource.of = classmethod(  # type: ignore[method-assign, assignment]
            lambda cls, versions: FakeSource().source()
        )
    return app.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
