"""The whole page: header and tabs, and how Gradio is to serve it."""

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from demo import markup, messages, messages_compare
from demo.examples import read_examples
from demo.gate import Gate
from demo.pages import about, admin, compare, deletion, detect, export, meaning, team, workbench
from demo.services import Services

ASSETS = Path(__file__).parent.parent / "assets"
EXAMPLES = ASSETS / "examples"

#: Uploads and drawings that Gradio caches: looked through every half hour, gone after two hours.
DELETE_CACHE = (1800, 7200)

#: Fonts that are on the visitor's machine: nothing is fetched from elsewhere.
_SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "DejaVu Sans Mono", "monospace"]


def build_demo(services: Services, examples: Path = EXAMPLES) -> gr.Blocks:
    """The page, ready to launch with `launch_options()`. examples: folder of example clips."""
    with gr.Blocks(
        title=messages.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE, fill_width=False
    ) as demo:
        clips = read_examples(examples)
        services.examples.know(clips)
        gr.HTML(markup.header())
        with gr.Tab(messages.DETECT_TAB):
            detect.build(services, clips)
        with gr.Tab(messages_compare.TAB):
            compare.build(services)
        with gr.Tab(messages.WORKBENCH_TAB) as tab:
            person = workbench.build(services, demo, tab)
        public = services.settings.public
        with gr.Tab(messages.TEAM_TAB, visible=not public) as tab:
            team.build(services, tab, person)
            deletion.build(services, person)
        with gr.Tab(messages.EXPORT_TAB, visible=not public) as exporting:
            export.build(services)
        with gr.Tab(messages.MEANING_TAB):
            meaning.build(ASSETS)
        with gr.Tab(messages.ABOUT_TAB):
            buttons = about.build(services, demo, clips)
            if public:
                admin.build(services, demo, [tab, exporting, *buttons])
    # Without api_open, a call that belongs in the queue cannot be made past it.
    return demo.queue(max_size=services.settings.limits.queue, api_open=False)


def launch_options(services: Services, examples: Path = EXAMPLES) -> dict[str, Any]:
    """Arguments for `demo.launch` that are the same wherever the app runs.

    Every file that Gradio may serve can be read by anyone who reaches the page: only the example
    clips are allowed besides its own cache. Nothing about a run is recorded.
    """
    return {
        "theme": gr.themes.Base(
            primary_hue="sky",
            neutral_hue="slate",
            font=[gr.themes.Font(name) for name in _SANS],
            font_mono=[gr.themes.Font(name) for name in _MONO],
        ).set(
            input_border_width="1px",
            input_border_width_dark="1px",
            input_border_color="#8a97a8",
            input_border_color_dark="#5d6b7c",
            checkbox_border_color="#66758a",
            checkbox_border_color_dark="#8a97a8",
            # The theme's own grey for explanations has a contrast of 2.6:1; these have above 6:1.
            block_info_text_color="#52606d",
            block_info_text_color_dark="#aab6c4",
            body_text_color_subdued="#52606d",
            body_text_color_subdued_dark="#aab6c4",
            block_label_text_color="#52606d",
            block_label_text_color_dark="#aab6c4",
            # White on sky blue is too faint to read; these have a contrast above 6:1.
            button_primary_background_fill="#1f5fa8",
            button_primary_background_fill_hover="#184c87",
            button_primary_background_fill_dark="#1f5fa8",
            button_primary_background_fill_hover_dark="#2a6fbd",
        ),
        "css_paths": [ASSETS / "style.css", ASSETS / "workbench" / "workbench.css"],
        "allowed_paths": [str(examples)] if examples.is_dir() else [],
        "max_file_size": services.settings.limits.file_bytes,
        "state_session_capacity": services.settings.limits.sessions,  # each takes a third of a megabyte
        "app_kwargs": {
            "middleware": [Middleware(Gate, settings=services.settings, budget=services.permission.budget)]
        },
        "strict_cors": True,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "footer_links": ["api", "settings"],
        "show_error": False,
    }
