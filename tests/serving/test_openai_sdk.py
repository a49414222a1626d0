"""OpenAI's own SDK as the client."""

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from served_squads import Served, serve_squad

MESSAGES: Any = [{"role": "user", "content": "say: a bad answer"}]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_squad() as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_chat(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="tiny", messages=MESSAGES)
    assert raw.headers["x-aligners-action"] == "corrected"
    completion = raw.parse()
    assert completion.choices[0].message.content == "a good answer"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 12


def test_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="tiny", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(each.delta.content or "" for chunk in chunks for each in chunk.choices)
    assert text == "a good answer"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 12
    assert chunks[-1].model_extra is not None
    assert chunks[-1].model_extra["aligners"]["action"] == "corrected"


def test_stream_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="tiny", messages=MESSAGES) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content == "a good answer"
    assert completion.choices[0].finish_reason == "stop"


def test_async(served: Served) -> None:
    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none") as client:

            async def ask(number: int) -> str:
                question: Any = [{"role": "user", "content": f"say: bad {number}"}]
                stream = await client.chat.completions.create(
                    model="tiny", messages=question, stream=True
                )
                return "".join(
                    [each.delta.content or "" async for chunk in stream for each in chunk.choices]
                )

            return await asyncio.gather(*map(ask, range(20)))

    assert asyncio.run(ask_all()) == [f"good {number}" for number in range(20)]


def test_tools(client: openai.OpenAI) -> None:
    question: Any = [{"role": "user", "content": "the weather?"}]
    completion = client.chat.completions.create(model="tiny", messages=question, tools=[TOOL])
    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert completion.choices[0].finish_reason == "tool_calls"
    with client.chat.completions.stream(model="tiny", messages=question, tools=[TOOL]) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert streamed is not None
    assert [call.id for call in streamed] == [call.id for call in calls] == ["call_1"]


def test_json_mode(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="tiny", messages=MESSAGES, response_format={"type": "json_object"}
    )
    assert raw.headers["x-aligners-reason"] == "json_mode"
    assert raw.parse().choices[0].message.content == "a bad answer"


def test_two_choices(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="tiny", messages=MESSAGES, n=2)
    texts = [choice.message.content for choice in completion.choices]
    assert texts == ["a good answer", "a good answer number 1"]
    with client.chat.completions.stream(model="tiny", messages=MESSAGES, n=2) as stream:
        choices = stream.get_final_completion().choices
    assert [choice.message.content for choice in choices] == texts


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_errors_have_their_classes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="n is 0") as bad:
        client.chat.completions.create(model="tiny", messages=MESSAGES, n=0)
    assert bad.value.code == "invalid_n"
    with pytest.raises(openai.APIStatusError) as not_served:
        client.embeddings.create(model="tiny", input="text")
    assert not_served.value.status_code == 501
    failing: Any = [{"role": "system", "content": "fault=429"}, *MESSAGES]
    with pytest.raises(openai.RateLimitError, match="the upstream says no"):
        client.chat.completions.create(model="tiny", messages=failing, stream=True)


def test_an_error_in_a_stream_is_raised() -> None:
    with serve_squad(ping_seconds=0.1, upstream_timeout=0.5) as served:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        failing: Any = [{"role": "system", "content": "fault=hangs"}, *MESSAGES]
        stream = client.chat.completions.create(model="tiny", messages=failing, stream=True)
        with pytest.raises(openai.APIError, match="seconds"):
            list(stream)
