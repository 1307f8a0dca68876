"""What the scripts of Python clients share: where to call, and one line of JSON for each case."""

import json
import os
from collections.abc import Callable

URL, KEY, MODEL = os.environ["CLIENT_URL"], os.environ["CLIENT_KEY"], os.environ["CLIENT_MODEL"]


def case(name: str, act: Callable[[], object], fails: bool = False) -> None:
    """Run one case, if it is asked for; a case that `fails` is right when it raises."""
    if name not in os.environ["CLIENT_CASES"].split(","):
        return
    try:
        seen, raised = str(act()), None
    except Exception as error:
        seen, raised = "", type(error).__name__ + ": " + " ".join(str(error).split())[:120]
    ok = raised is not None if fails else bool(seen) and raised is None
    print(json.dumps({"case": name, "ok": ok, "seen": raised or seen[:60]}), flush=True)
