from cases import KEY, MODEL, URL, case
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool

model = ChatAnthropic(model=MODEL, base_url=URL, api_key=KEY, max_tokens=200, max_retries=0)


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


case("plain", lambda: model.invoke("Hello").content)
case("streaming", lambda: "".join(str(chunk.content) for chunk in model.stream("Hello")))
case("tools", lambda: model.bind_tools([get_weather]).invoke("What is the weather in Paris?").tool_calls[0]["name"])
case("cut stream", lambda: "".join(str(chunk.content) for chunk in model.stream("Write CUT words")), fails=True)
