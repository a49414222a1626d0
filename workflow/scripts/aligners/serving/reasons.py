"""Names of why the server let no squad examine a response, beside those of `core.reasons`.

They are values of the header x-aligners-reason. docs/serving.md explains them.
"""

AFFECTS_RESULTS = False

# The client asked for JSON, or something else with a grammar.
JSON_MODE = "json_mode"
# The question or the response has an image, audio or another part that is not text.
NOT_TEXT = "not_text"
# The request has no message with text that the response could answer.
NO_QUESTION = "no_question"
# The response continues the last message, so it has no beginning.
CONTINUATION = "continuation"
# The response has tool calls, or the deprecated function call.
TOOL_CALLS = "tool_calls"
# The response is the upstream's refusal.
REFUSAL = "refusal"
# The response ended before its end.
CUT_OFF = "cut_off"
CONTENT_FILTER = "content_filter"

# Causes of failures, which are the reason of the action `failed` and `refused`.
# The process with the models is not there, or ended.
MODEL_PROCESS = "model_process"
# The squad did not finish in time.
TIMEOUT = "timeout"
# Too many responses wait.
OVERLOAD = "overload"
# The squad raised an error for this response.
SQUAD_ERROR = "squad_error"

# What the names of reasons mean, for readers.
WORDS = {
    JSON_MODE: "the request asks for JSON, or for another grammar",
    NOT_TEXT: "the question or the response has a part that is not text",
    NO_QUESTION: "there is no question as text",
    CONTINUATION: "the response continues the last message",
    TOOL_CALLS: "the response calls a tool",
    REFUSAL: "the response is a refusal of the LLM",
    CUT_OFF: "the response ended before its end",
    CONTENT_FILTER: "a content filter withheld a part of the response",
    MODEL_PROCESS: "the process with the models is not there",
    TIMEOUT: "the squad did not finish in time",
    OVERLOAD: "too many responses wait for the squad",
    SQUAD_ERROR: "the squad raised an error",
}
