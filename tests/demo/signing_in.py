"""Run by test_attacks.py in a process of its own, as Gradio reads the keys of sign-in when it is imported.

A Space with sign-in; prints, as JSON, what it answers to an administrator's call with each of some cookies.
"""

import base64
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

KEYS = {
    "SYSTEM": "spaces",
    "SPACE_ID": "me/spooflens",
    "SPACE_HOST": "me-spooflens.hf.space",
    "OAUTH_CLIENT_ID": "id",
    "OAUTH_CLIENT_SECRET": "the secret of the Space",
    "OAUTH_SCOPES": "openid profile",
    "OPENID_PROVIDER_URL": "http://127.0.0.1:1",
}


def cookie(user: str, secret: str | None, expires: float) -> str:
    """A session of Gradio's; without a secret it is signed with nothing."""
    from itsdangerous import TimestampSigner

    session = {"oauth_info": {"userinfo": {"preferred_username": user}, "expires_at": expires}}
    data = base64.b64encode(json.dumps(session).encode())
    if secret is None:
        return data.decode()
    return TimestampSigner(hashlib.sha256(f"{secret}-v4".encode()).hexdigest()).sign(data).decode()


def main() -> None:
    os.environ |= {**KEYS, "GRADIO_TEMP_DIR": tempfile.mkdtemp()}
    import httpx

    from demo.settings import Settings
    from demo.ui import build_demo, launch_options
    from tests.demo.fake_detectors import fake_services

    folder = Path(tempfile.mkdtemp())
    settings = Settings.from_env({**KEYS, "SPOOFLENS_ADMIN": "Ruth", "SPOOFLENS_DATA": str(folder)})
    services = fake_services(folder, settings=settings)
    demo = build_demo(services)
    _, url, _ = demo.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options(services)
    )
    later, secret = time.time() + 1000, KEYS["OAUTH_CLIENT_SECRET"]
    cookies = {
        "none": None,
        "unsigned": cookie("ruth", None, later),
        "signed with the key that everybody knows": cookie("ruth", "", later),
        "somebody else's": cookie("mallory", secret, later),
        "expired": cookie("ruth", secret, time.time() - 1),
        "hers": cookie("ruth", secret, later),
    }
    number = next(i for i, fn in demo.fns.items() if fn.name == "list_conflicts")
    asked = {"data": ["x"], "fn_index": number, "session_hash": "visit"}
    answers = {
        name: httpx.post(
            f"{url}gradio_api/run/predict",
            json=asked,
            headers={"cookie": f"session={value}"} if value else {},
            timeout=60,
        ).text
        for name, value in cookies.items()
    }
    demo.close()
    sys.stdout.write("\n" + json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
