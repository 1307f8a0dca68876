import asyncio

from cases import KEY, MODEL, URL, case
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

agent = Agent(AnthropicModel(MODEL, provider=AnthropicProvider(base_url=URL, api_key=KEY)), retries=0)
called: list[str] = []


@agent.tool_plain
def get_weather(city: str) -> str:
    """The weather in a city."""
    called.append("get_weather")
    return f"Rain in {city}."


async def streamed(prompt: str) -> str:
    async with agent.run_stream(prompt) as result:
        return "".join([piece async for piece in result.stream_text(delta=True)])


def tools() -> str:
    agent.run_sync("What is the weather in Paris?")
    return called[0]


case("plain", lambda: agent.run_sync("Hello").output)
case("streaming", lambda: asyncio.run(streamed("Hello")))
case("tools", tools)
case("cut stream", lambda: asyncio.run(streamed("Write CUT words")), fails=True)
