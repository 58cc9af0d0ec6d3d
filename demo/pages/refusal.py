"""What a visitor can mend, as a message on the page and to programs."""

import gradio as gr

#: Gradio puts messages into the page as HTML. It cleans that, but an image would still be fetched.
_AS_TEXT = str.maketrans("<>", "‹›")


def refusal(message: object) -> gr.Error:
    """To be raised: shows the message, in which a visitor's own words may stand, as nothing but text."""
    return gr.Error(str(message).translate(_AS_TEXT), print_exception=False)
