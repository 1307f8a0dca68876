import anthropic
import instructor
from cases import KEY, MODEL, URL, case
from pydantic import BaseModel

client = instructor.from_anthropic(anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0))
ASK = {"model": MODEL, "max_tokens": 200, "max_retries": 0}


class City(BaseModel):
    name: str
    country: str


def asked(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


case("plain", lambda: client.create(response_model=None, messages=asked("Hello"), **ASK).content[0].text)
case(
    "streaming", lambda: str(list(client.create_partial(response_model=City, messages=asked("Name a city"), **ASK))[-1])
)
case("tools", lambda: client.create(response_model=City, messages=asked("Name a city"), **ASK).name)
case(
    "cut stream",
    lambda: str(list(client.create_partial(response_model=City, messages=asked("Write CUT words"), **ASK))[-1]),
    fails=True,
)
