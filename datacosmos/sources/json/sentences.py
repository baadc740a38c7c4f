"""What is wrong with a body, in the words of whoever sent it."""

import re

MAX_SENTENCE = 200
# What the decoder's types are called in a fault.
KINDS = {
    "float": "a number",
    "float | str": "epoch seconds or ISO 8601 text",
    "str": "text",
    "str | null": "text",
    "float | null": "a number",
    "float | str | null": "epoch seconds or ISO 8601 text",
    "null": "null",
    "int": "a number",
    "bool": "a boolean",
    "array": "a list",
    "array | null": "a list",
    "object": "an object",
}
WHOLE = {
    "Input data was truncated": "the JSON ends too early",
}


def sentence(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    said, _, path = str(error).partition(" - at `$")
    said = re.sub(r"`([^`]*)`", lambda match: KINDS.get(match[1], match[0]), WHOLE.get(said, said))[:MAX_SENTENCE]
    return f"{field}: {said}" if (field := path.strip(".`")) else said
