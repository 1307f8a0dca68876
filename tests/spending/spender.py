"""A process that spends until its budgets say no: `spender.py URL KEY CALLERS SEED [CONFIG DATA]`.

With a config the clients are wrapped, blocking ones in threads and async ones on a loop; without, they call a gateway.
Says `ready`, waits for a line, and ends when everything is spent.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from random import Random
from typing import Any

import anthropic

import penstock

#: One feature for each budget, with a model whose price is its own.
MODELS = {"one": "claude-haiku-4-5", "ten": "claude-sonnet-4-6", "thousand": "claude-opus-4-5"}
_REFUSED = 402


def asked(random: Random, feature: str) -> dict[str, Any]:
    words = random.randrange(5, 120)
    return {
        "model": MODELS[feature],
        "max_tokens": random.randrange(20, 250),
        "messages": [{"role": "user", "content": f"Tell me of rivers in {words} words." + " And more." * (words % 7)}],
        "extra_headers": {"x-penstock-feature": feature},
    }


def spend(client: anthropic.Anthropic, seed: int) -> None:
    random, left = Random(seed), set(MODELS)
    while left:
        feature = random.choice(sorted(left))
        try:
            with penstock.tags(feature=feature):
                if random.random() < 0.5:
                    client.messages.create(**asked(random, feature))
                    continue
                for number, _ in enumerate(client.messages.create(**asked(random, feature), stream=True)):
                    if number > 3 and random.random() < 0.05:
                        break  # and is left for the collector
        except anthropic.APIStatusError as error:
            if error.status_code == _REFUSED:
                left.discard(feature)
        except anthropic.APIError:
            continue
        except Exception as error:
            if not type(error).__module__.startswith("httpx"):
                raise


async def spend_async(client: anthropic.AsyncAnthropic, seed: int) -> None:
    random, left = Random(seed), set(MODELS)
    while left:
        feature = random.choice(sorted(left))
        try:
            with penstock.tags(feature=feature):
                if random.random() < 0.5:
                    await client.messages.create(**asked(random, feature))
                    continue
                stream = await client.messages.create(**asked(random, feature), stream=True)
                async for _ in stream:
                    if random.random() < 0.02:
                        await stream.close()
                        break
        except anthropic.APIStatusError as error:
            if error.status_code == _REFUSED:
                left.discard(feature)
        except anthropic.APIError:
            continue
        except Exception as error:
            if not type(error).__module__.startswith("httpx"):
                raise


def main(url: str, key: str, callers: int, seed: int, *wrapped: str) -> None:
    common: dict[str, Any] = {"base_url": url, "api_key": key, "max_retries": 0, "timeout": 20}
    options: dict[str, Any] = dict(zip(("config", "data"), wrapped, strict=False))
    blocking, loop = anthropic.Anthropic(**common), anthropic.AsyncAnthropic(**common)
    if options:
        blocking, loop = penstock.wrap(blocking, **options), penstock.wrap(loop, **options)
    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=spend, args=(blocking, seed + n), daemon=True) for n in range(callers // 2)]
    for thread in threads:
        thread.start()

    async def scene() -> None:
        await asyncio.gather(*(spend_async(loop, seed + 1000 + n) for n in range(callers - callers // 2)))

    asyncio.run(scene())
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
