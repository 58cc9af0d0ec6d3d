"""Whether a visitor's screen has room for wide pictures, so that only those are drawn that are shown."""

import gradio as gr

#: Screens that have the room, as a CSS media query.
LARGE_SCREEN = "(min-width: 800px)"

#: For an event's `js`: puts the answer in the place of its last input, which is `unasked`.
TELL_SCREEN = f"(...inputs) => [...inputs.slice(0, -1), matchMedia('{LARGE_SCREEN}').matches]"


def unasked() -> gr.Checkbox:
    """A place for the answer, never seen. Call inside gr.Blocks."""
    return gr.Checkbox(visible=False)
