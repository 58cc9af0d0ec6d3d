"""The chat under the figures: questions about the clip that was just analysed."""

import html
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import gradio as gr
from gradio.events import Dependency

from demo import markup, messages
from demo.chat import MAX_QUESTION, Said, check_question
from demo.pages.admin import spend
from demo.pages.refusal import refusal
from demo.services import GPU, Services
from detectors.errors import DetectorError

logger = logging.getLogger(__name__)

#: One question of the visit and what came of it: "id", "question", "answer", and "state", which is a key of
#: messages.CHAT_MARKS; some have a "note". Plain values, as gr.State copies them.
Exchange = dict[str, str]
#: States of an answer that is still to come.
UNFINISHED = ("waiting", "writing")
#: States of an answer that is whole and holds: written and checked, or put together from the facts.
ANSWERED = ("model", "template", "late")

#: Seconds that Stop leaves to an update that was under way when it was pressed.
LAST_UPDATE = 1.0

#: Nothing waits in the detectors' queue for these.
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

#: Back into the field for the next question, unless the visitor has gone elsewhere; never on a phone, where
#: it would raise the keyboard.
FOCUS = """() => {
  if (document.activeElement === document.body && matchMedia("(pointer: fine)").matches)
    document.querySelector("#question textarea, #question input")?.focus({preventScroll: true});
}"""


class _Writing(NamedTuple):
    """An answer that is being written. stop: set to end it; ended: set when it has ended."""

    stop: Event
    ended: Event


class ChatHandlers:
    """What happens at a question. Holds nothing of a visitor: that is in gr.State."""

    def __init__(self, services: Services) -> None:
        self.services, self.chat = services, services.chat
        # By exchange id: the answers that are being written.
        self._writing: dict[str, _Writing] = {}
        # Exchange ids, the latest: Stop may be pressed before the answer has begun.
        self._stopped: deque[str] = deque(maxlen=1_000)

    def ask(
        self, analysis_id: str, question: str, history: list[dict[str, str]] | None = None
    ) -> dict[str, Any]:
        """Answer a question about a clip that was just analysed, from the facts that were measured on it.

        Args:
            analysis_id: from /analyze.
            question: at most 500 characters, in English.
            history: earlier messages of this conversation, oldest first, as {"role": "user" or
                "assistant", "content": ...}; the last four questions with their answers count.

        Returns:
            answer; speaker ("model": written by the language model and checked against the facts, or
            "template": put together from the facts); contradictions (what the check found in answers that
            the language model tried and that were thrown away); llm_unavailable (why the language model does
            not speak here, or did not finish in time, or null); note (where it was written, if that matters).
        """
        spend(self.services, "questions")
        try:
            *_, last = self.chat.ask(analysis_id, question, history or ())
        except DetectorError as error:
            raise refusal(error) from error
        return {
            "answer": last.text,
            "speaker": last.speaker,
            "contradictions": list(last.contradictions),
            "llm_unavailable": messages.ANSWER_TOO_LONG if last.late else self.chat.reason(),
            "note": last.note or None,
        }

    def open(self) -> tuple[Any, ...]:
        """A clip was analysed: the chat about it opens, empty."""
        return gr.Column(visible=True), [], [], self.note(), *_controls(busy=False, value="")

    def close(self) -> tuple[Any, ...]:
        """Another clip was chosen: nothing said about the one before stays."""
        return gr.Column(visible=False), [], [], "", *_controls(busy=False, value="")

    def send(
        self, question: str, analysis_id: str | None, exchanges: list[Exchange], typed: bool = True
    ) -> tuple[Any, ...]:
        """Put the question on the page; `answer` follows. typed: it was in the field, which is emptied."""
        try:
            if not analysis_id:
                raise DetectorError(messages.NOTHING_TO_ASK)
            question = check_question(question)
        except DetectorError as error:
            raise refusal(error) from error
        spend(self.services, "questions")
        new = {"id": secrets.token_hex(8), "question": question, "answer": "", "state": "waiting"}
        exchanges = [*_settled(exchanges), new]
        emptied = {"value": ""} if typed else {}
        return exchanges, shown(exchanges), *_controls(busy=True, **emptied)

    def suggest(self, suggestion: str, analysis_id: str | None, exchanges: list[Exchange]) -> tuple[Any, ...]:
        """Ask one of the suggested questions; what is half typed in the field stays."""
        return self.send(suggestion, analysis_id, exchanges, typed=False)

    def answer(
        self, analysis_id: str, exchanges: list[Exchange]
    ) -> Iterator[tuple[list[Exchange], list[dict[str, Any]]]]:
        """The answer to the last question, as it grows. Closing the iterator stops the language model."""
        *before, last = exchanges
        # This comes first, then a look at what was stopped; in `stop` the other way round, so none is missed.
        writing = self._writing[last["id"]] = _Writing(Event(), Event())
        now = exchanges
        try:
            if last["id"] in self._stopped:
                writing.stop.set()
            for said in self.chat.ask(analysis_id, last["question"], history(before), writing.stop):
                now = [*before, _now(last, said.text, _state(said), said.note)]
                yield now, shown(now)
            if writing.stop.is_set():
                now = _settled(now)
                yield now, shown(now)
        except DetectorError as error:
            now = [*before, _now(last, str(error), "failed")]
            yield now, shown(now)
        except Exception:
            logger.exception("the chat failed")
            now = [*before, _now(last, messages.CHAT_FAILED, "failed")]
            yield now, shown(now)
        finally:
            writing.stop.set()
            writing.ended.set()
            self._writing.pop(last["id"], None)

    def stop(self, exchanges: list[Exchange]) -> tuple[Any, ...]:
        """The visitor has heard enough: what is there stays, marked as not checked.

        The browser has cancelled the answer, where it had begun. An update of it may be under way, which must
        not come after the mark; and one that begins only now must end at once.
        """
        for exchange in exchanges[-1:]:
            self._stopped.append(exchange["id"])
            if writing := self._writing.get(exchange["id"]):
                writing.stop.set()
                writing.ended.wait(LAST_UPDATE)
        exchanges = _settled(exchanges)
        return exchanges, shown(exchanges), *_controls(busy=False)

    def done(self) -> tuple[Any, ...]:
        """The answer has come: the next question may be asked."""
        return *_controls(busy=False), self.note()

    def clear(self) -> tuple[Any, ...]:
        """The conversation was emptied by hand."""
        return [], *_controls(busy=False)

    def note(self) -> str:
        """Why the language model does not speak, if so."""
        reason = self.chat.reason()
        return markup.lines([messages.without_llm(reason)]) if reason else ""


def history(exchanges: Sequence[Exchange]) -> list[dict[str, str]]:
    """What was asked and answered, for the next answer; without what was never finished or checked."""
    return [
        message
        for exchange in exchanges
        if exchange["state"] in ANSWERED
        for message in (
            {"role": "user", "content": exchange["question"]},
            {"role": "assistant", "content": exchange["answer"]},
        )
    ]


def shown(exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    """The conversation as gr.Chatbot takes it: each answer is followed by its mark.

    gr.Chatbot puts texts into the page as HTML, sanitised but not escaped: an <img> would be fetched. So
    they are escaped here.
    """
    found = []
    for exchange in exchanges:
        mark = ". ".join(filter(None, [messages.CHAT_MARKS[exchange["state"]], exchange.get("note")]))
        found += [_message("user", exchange["question"]), _message("assistant", exchange["answer"] or "…")]
        found.append(_message("assistant", mark))
    return found


def _message(role: str, text: str) -> dict[str, Any]:
    # Quotes stay as they are: they are harmless in a text, and a screen reader is given it unparsed.
    return {"role": role, "content": html.escape(text, quote=False)}


def _now(exchange: Exchange, answer: str, state: str, note: str = "") -> Exchange:
    return {**exchange, "answer": answer, "state": state, **({"note": note} if note else {})}


def _state(said: Said) -> str:
    if said.speaker is None:
        return "waiting"
    if said.late:
        return "late"
    return said.speaker if said.final else "writing"


def _settled(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Answers that will never be finished are marked so; what was only progress is no answer at all."""
    return [_now(each, _left(each), "stopped") if each["state"] in UNFINISHED else each for each in exchanges]


def _left(unfinished: Exchange) -> str:
    said = unfinished["answer"].strip() if unfinished["state"] == "writing" else ""
    return said or messages.CHAT_STOPPED


def _controls(busy: bool, **question: Any) -> list[Any]:
    """Updates of Parts.controls; question: further ones of the field."""
    return [
        gr.Textbox(interactive=not busy, **question),
        gr.Button(visible=not busy),
        gr.Button(visible=busy),
        *[gr.Button(interactive=not busy) for _ in messages.SUGGESTIONS],
    ]


class Parts(NamedTuple):
    """The chat's components. exchanges: gr.State, the visit's questions about this clip and their answers."""

    column: gr.Column
    exchanges: gr.State
    conversation: gr.Chatbot
    note: gr.HTML
    question: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    suggestions: list[gr.Button]

    @property
    def controls(self) -> list[gr.components.Component]:
        """What is shut while an answer is written, in the order of `_controls`."""
        return [self.question, self.ask, self.stop, *self.suggestions]


def lay_out() -> Parts:
    """Put the chat where the page is being filled; it is hidden until a clip was analysed."""
    with gr.Column(visible=False, elem_id="chat", elem_classes="sl-card") as column:
        gr.HTML(markup.section(messages.CHAT_HEADING, messages.CHAT_HELP))
        conversation = gr.Chatbot(
            label=messages.CHAT_LABEL,
            show_label=False,
            container=False,
            height="auto",
            min_height=120,
            buttons=[],
            render_markdown=False,
            sanitize_html=True,
            allow_tags=False,
            latex_delimiters=[],
            feedback_options=None,
            placeholder=messages.CHAT_EMPTY,
            elem_id="conversation",
        )
        note = gr.HTML(elem_id="chat-note")
        with gr.Row(elem_classes="sl-suggestions"):
            suggestions = [gr.Button(text, size="sm", min_width=0, scale=0) for text in messages.SUGGESTIONS]
        with gr.Row(elem_classes="sl-ask", equal_height=True):
            question = gr.Textbox(
                value="",
                label=messages.QUESTION_LABEL,
                placeholder=messages.QUESTION_PLACEHOLDER,
                max_lines=3,
                max_length=MAX_QUESTION,
                scale=5,
                min_width=220,
                elem_id="question",
            )
            ask = gr.Button(messages.ASK_BUTTON, variant="primary", scale=1, min_width=96, elem_id="ask")
            stop = gr.Button(
                messages.STOP_BUTTON, variant="stop", visible=False, scale=1, min_width=96, elem_id="stop"
            )
    return Parts(column, gr.State([]), conversation, note, question, ask, stop, suggestions)


class Closing(NamedTuple):
    """What ends a conversation: the handler, what it updates, and the answers that it cancels."""

    handler: Callable[[], tuple[Any, ...]]
    outputs: list[gr.blocks.Block]
    cancels: list[Dependency]


def connect(parts: Parts, services: Services, analysis_id: gr.State, analysed: Dependency) -> Closing:
    """Connect the chat. analysed: succeeds when a clip was judged; then analysis_id names it.

    The caller does the closing, together with all else that another clip does away with: of two listeners,
    the browser would run the second after the first, and an analysis that was begun meanwhile would be lost.
    """
    handlers = ChatHandlers(services)
    exchanges, conversation, controls = parts.exchanges, parts.conversation, parts.controls
    everything: list[gr.blocks.Block] = [parts.column, exchanges, conversation, parts.note, *controls]
    analysed.success(handlers.open, outputs=everything, **AT_ONCE)
    about, told = [analysis_id, exchanges], [exchanges, conversation, *controls]
    asked = [
        gr.on(
            [parts.question.submit, parts.ask.click],
            handlers.send,
            [parts.question, *about],
            told,
            **AT_ONCE,
        )
    ]
    # One listener each: a button that was updated has forgotten its text when it tells who was pressed.
    asked += [
        button.click(partial(handlers.suggest, text), about, told, **AT_ONCE)
        for button, text in zip(parts.suggestions, messages.SUGGESTIONS, strict=True)
    ]
    answering = [_answering(question, handlers, parts, about) for question in asked]
    ending: dict[str, Any] = {"cancels": answering, **AT_ONCE}
    parts.stop.click(handlers.stop, [exchanges], [exchanges, conversation, *controls], **ending)
    conversation.clear(handlers.clear, outputs=[exchanges, *controls], **ending)
    gr.api(handlers.ask, api_name="ask", concurrency_id=GPU)
    return Closing(handlers.close, everything, answering)


def _answering(asked: Dependency, handlers: ChatHandlers, parts: Parts, about: list[gr.State]) -> Dependency:
    """The answer that follows a question, and what follows the answer."""
    answering = asked.success(
        handlers.answer,
        about,
        [parts.exchanges, parts.conversation],
        concurrency_id=GPU,
        show_progress="hidden",
        api_visibility="private",
    )
    answering.then(handlers.done, outputs=[*parts.controls, parts.note], **AT_ONCE).then(
        fn=None, js=FOCUS, api_visibility="private"
    )
    return answering
