"""Speed and memory, ours and others' ways side by side in one run: `python -m detectors benchmark`."""
