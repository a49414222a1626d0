"""Asks the server by an SDK, and prints what the SDK returns as JSON. Runs in .venv-sdks."""

import asyncio
import json
import sys
from typing import Any


def ask_by_langchain(url: str, key: str) -> dict[str, Any]:
    """Return what LangChain's ChatOpenAI makes of the server's answers."""
    from langchain_core.messages import HumanMessage, SystemMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def weather(city: str) -> str:
        """Return the weather of a city."""
        return city

    settings = {"model": "tiny", "base_url": f"{url}/v1", "api_key": key, "max_retries": 0}
    chat = ChatOpenAI(**settings, include_response_headers=True)
    messages = [SystemMessage("Be brief."), HumanMessage("say: a bad answer")]
    found = chat.invoke(messages)
    streamed = list(ChatOpenAI(**settings, stream_usage=True).stream(messages))
    whole = streamed[0]
    for part in streamed[1:]:
        whole += part
    called = chat.bind_tools([weather]).invoke("say: the weather")
    forced = chat.bind(response_format={"type": "json_object"}).invoke('say: {"bad": 1}')
    several = ChatOpenAI(**settings, n=2).generate([messages])
    batch = chat.batch([f"say: bad {number}" for number in range(8)])
    return {
        "text": found.content,
        "headers": dict(found.response_metadata["headers"]),
        "usage": found.usage_metadata,
        "awaited": asyncio.run(chat.ainvoke(messages)).content,
        "streamed": whole.content,
        "parts": len(streamed),
        "streamed_usage": whole.usage_metadata,
        "finish": whole.response_metadata["finish_reason"],
        "tool": called.tool_calls,
        "forced": forced.content,
        "several": [each.text for each in several.generations[0]],
        "batch": [each.content for each in batch],
    }


def ask_by_litellm(url: str, key: str) -> dict[str, Any]:
    """Return what LiteLLM's client makes of the server's answers."""
    import litellm

    settings = {"model": "openai/tiny", "api_base": f"{url}/v1", "api_key": key}
    settings["messages"] = [{"role": "user", "content": "say: a bad answer"}]
    found = litellm.completion(**settings)
    parts = list(litellm.completion(**settings, stream=True))
    awaited = asyncio.run(litellm.acompletion(**settings))
    try:
        litellm.completion(**{**settings, "api_key": "wrong"}, max_retries=0)
        refused = ""
    except litellm.AuthenticationError as error:
        refused = str(error)
    return {
        "text": found.choices[0].message.content,
        "usage": found.usage.total_tokens,
        "streamed": "".join(part.choices[0].delta.content or "" for part in parts),
        "finish": parts[-1].choices[0].finish_reason,
        "awaited": awaited.choices[0].message.content,
        "refused": refused,
    }


if __name__ == "__main__":
    asked = {"langchain": ask_by_langchain, "litellm": ask_by_litellm}[sys.argv[1]]
    print(json.dumps(asked(*sys.argv[2:])))
