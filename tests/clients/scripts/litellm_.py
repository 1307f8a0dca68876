import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks a host on the internet for its prices

import litellm
from cases import KEY, MODEL, URL, case

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(prompt: str, **more: object) -> object:
    return litellm.completion(
        model=f"anthropic/{MODEL}",
        api_base=URL,
        api_key=KEY,
        max_tokens=200,
        num_retries=0,
        messages=[{"role": "user", "content": prompt}],
        **more,
    )


def streamed(prompt: str) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in ask(prompt, stream=True))


case("plain", lambda: ask("Hello").choices[0].message.content)
case("streaming", lambda: streamed("Hello"))
case(
    "tools",
    lambda: ask("What is the weather in Paris?", tools=[TOOL]).choices[0].message.tool_calls[0].function.name,
)
case("cut stream", lambda: streamed("Write CUT words"), fails=True)
