"""Who may do what: by the settings, by who asks, and never by what somebody types about themselves."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from demo.limits import LimitError, Limits
from demo.permission import REMEMBERED, NotAllowedError, Permission
from demo.settings import Settings, SettingsError, is_loopback
from demo.visitor import Visitor, address_of, present_visitor

TOKEN = "correct horse battery staple"
PUBLIC = Settings(public=True, admins=frozenset({"ruth"}), admin_token=TOKEN, limits=Limits.public())
ANNA = Visitor("1.1.1.1", "visit-a")


class Door:
    """A permission with a visitor who can be changed, and a clock that can be set."""

    def __init__(self, settings: Settings, visitor: Visitor | None = ANNA) -> None:
        self.visitor, self.now = visitor, 0.0
        self.permission = Permission(settings, lambda _: self.visitor, lambda: self.now)


def test_everything_is_allowed_on_ones_own_machine() -> None:
    permission = Door(Settings(), None).permission
    permission.require_admin()
    assert permission.annotator("Anna") == "Anna"


@pytest.mark.parametrize(
    "visitor", [None, ANNA, replace(ANNA, user="mallory"), replace(ANNA, token="guess"), Visitor("", "")]
)
def test_strangers_are_no_administrators(visitor: Visitor | None) -> None:
    with pytest.raises(NotAllowedError, match="Only the people who run this page"):
        Door(PUBLIC, visitor).permission.require_admin()


@pytest.mark.parametrize("visitor", [replace(ANNA, user="Ruth"), replace(ANNA, token=TOKEN)])
def test_administrators_are_known_by_sign_in_or_token(visitor: Visitor) -> None:
    Door(PUBLIC, visitor).permission.require_admin()


def test_without_administrators_nobody_is_one() -> None:
    settings = replace(PUBLIC, admins=frozenset(), admin_token=None)
    for visitor in (ANNA, replace(ANNA, token=""), replace(ANNA, user="")):
        with pytest.raises(NotAllowedError, match="set SPOOFLENS_ADMIN"):
            Door(settings, visitor).permission.require_admin()


def test_the_token_opens_one_visit_from_one_place_for_a_while() -> None:
    door = Door(PUBLIC)
    assert not door.permission.open("guess")
    assert not door.permission.is_admin()
    assert door.permission.open(TOKEN)
    assert door.permission.is_admin()
    for other in (Visitor("2.2.2.2", "visit-a"), Visitor("1.1.1.1", "visit-b")):
        door.visitor = other
        assert not door.permission.is_admin()
    door.visitor, door.now = ANNA, REMEMBERED - 1
    assert door.permission.is_admin()
    door.now = REMEMBERED + 1
    assert not door.permission.is_admin()


def test_the_token_cannot_be_guessed_for_ever() -> None:
    door = Door(PUBLIC)
    for _ in range(PUBLIC.limits.guesses):
        assert not door.permission.open("guess")
    with pytest.raises(LimitError, match="more than 10 tries at the token"):
        door.permission.open("guess")
    door.visitor = replace(ANNA, token="guess")  # nor in the header
    with pytest.raises(LimitError):
        door.permission.require_admin()


def test_nobody_gets_another_persons_name() -> None:
    door = Door(replace(PUBLIC, sign_in=True), replace(ANNA, user="anna"))
    assert door.permission.annotator("Ruth") == "anna"
    door.visitor = ANNA
    with pytest.raises(NotAllowedError, match="Sign in with Hugging Face"):
        door.permission.annotator("anna")


def test_guests_are_told_apart_by_where_they_come_from() -> None:
    door = Door(PUBLIC)
    name = door.permission.annotator("Ruth")
    assert name.startswith("Ruth (guest ")
    assert door.permission.annotator("Ruth") == name
    assert len(door.permission.annotator("R" * 500)) <= 80
    assert door.permission.annotator(" ") == ""
    door.visitor = Visitor("2.2.2.2", "visit-b")
    assert door.permission.annotator("Ruth") != name
    assert door.permission.annotator(name) != name
    door.visitor = replace(ANNA, token=TOKEN)
    assert door.permission.annotator("Ruth") == "Ruth"


# ---- who is asking


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, "10.0.0.1"),
        ("8.8.8.8", "8.8.8.8"),
        ("1.2.3.4, 8.8.8.8", "8.8.8.8"),  # what stands in front, the visitor may have written
        ("1.2.3.4, 8.8.8.8, 10.0.0.7", "8.8.8.8"),
        ("192.168.1.9, 10.0.0.7", "10.0.0.7"),
        ("<script>, 8.8.8.8", "8.8.8.8"),
    ],
)
def test_the_address_is_one_that_a_proxy_saw(forwarded: str | None, address: str) -> None:
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    assert address_of(headers, "10.0.0.1", replace(PUBLIC, behind_proxy=True)) == address
    assert address_of(headers, "10.0.0.1", PUBLIC) == "10.0.0.1"


def request(session: dict[str, Any] | None) -> SimpleNamespace:
    scope = {} if session is None else {"session": session}
    inner = SimpleNamespace(headers={}, client=SimpleNamespace(host="1.1.1.1"), scope=scope)
    return SimpleNamespace(request=inner, session_hash="visit-a")


@pytest.mark.parametrize(
    ("sign_in", "session", "user"),
    [
        (True, None, None),
        (True, {}, None),
        (True, {"oauth_info": {"userinfo": {"preferred_username": "ruth"}, "expires_at": 1e12}}, "ruth"),
        (True, {"oauth_info": {"userinfo": {"preferred_username": "ruth"}, "expires_at": 1}}, None),
        # Off a Space Gradio signs its cookie with a key that everybody knows.
        (False, {"oauth_info": {"userinfo": {"preferred_username": "ruth"}, "expires_at": 1e12}}, None),
    ],
)
def test_a_user_name_counts_only_where_it_can_be_trusted(
    monkeypatch: pytest.MonkeyPatch, sign_in: bool, session: dict[str, Any] | None, user: str | None
) -> None:
    context = SimpleNamespace(get=lambda _: request(session))
    monkeypatch.setattr("gradio.context.LocalContext.request", context)
    visitor = present_visitor(replace(PUBLIC, sign_in=sign_in))
    assert visitor
    assert (visitor.user, visitor.address, visitor.session) == (user, "1.1.1.1", "visit-a")


def test_without_a_request_there_is_no_visitor() -> None:
    assert present_visitor(PUBLIC) is None


# ---- when a page is public


@pytest.mark.parametrize(
    ("environ", "given", "public"),
    [
        ({}, {}, False),
        ({}, {"host": "127.0.0.1"}, False),
        ({}, {"host": "::1"}, False),
        ({}, {"host": "localhost"}, False),
        ({}, {"host": "0.0.0.0"}, True),
        ({}, {"host": "192.168.1.5"}, True),
        ({}, {"host": "box.lan"}, True),
        ({}, {"share": "yes"}, True),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, {}, True),
        ({"GRADIO_SHARE": "True"}, {}, True),
        ({"SPACE_ID": "me/spooflens"}, {}, True),
        ({"SPOOFLENS_PUBLIC": "1"}, {}, True),
        ({"SPOOFLENS_PUBLIC": "0"}, {"host": "0.0.0.0"}, False),
    ],
)
def test_a_page_that_others_can_reach_is_public(
    environ: dict[str, str], given: dict[str, str], public: bool
) -> None:
    settings = Settings.from_env(environ, **given)
    assert settings.public is public
    assert settings.limits == (Limits.public() if public else Limits())


def test_administrators_come_from_the_environment() -> None:
    environ = {"SPOOFLENS_ADMIN": "Ruth, bert", "SPOOFLENS_ADMIN_TOKEN": TOKEN}
    settings = Settings.from_env(environ)
    assert settings.admins == {"ruth", "bert"}
    assert settings.admin_token == TOKEN
    assert TOKEN not in repr(settings)
    with pytest.raises(SettingsError, match="has 5 characters, which can be guessed; at least 16"):
        Settings.from_env({"SPOOFLENS_ADMIN_TOKEN": "short"})


def test_sign_in_counts_on_a_space_with_its_keys_only() -> None:
    keys = {"OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret"}
    space = {"SYSTEM": "spaces", "SPACE_ID": "me/spooflens"}
    assert Settings.from_env({**keys, **space}).sign_in
    for without in (keys, space, {**keys, "SPACE_ID": "me/spooflens"}, {**keys, "SYSTEM": "spaces"}):
        assert Settings.from_env(without).sign_in is False


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("[::1]", True), ("LOCALHOST", True), ("0.0.0.0", False),
     ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("", False)],
)  # fmt: skip
def test_what_is_this_machine(host: str, own: bool) -> None:
    assert is_loopback(host) is own
