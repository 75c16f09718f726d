"""Chats as the one string that a model was trained on: its template, run in a sandbox that is set up as in transformers.

Templates are Jinja programs from strangers. They see plain data alone, in an environment without access to Python, and
with what the published ones expect there: `raise_exception`, `strftime_now`, a `tojson` that does not escape HTML,
`{% generation %}`, `{% break %}`, and None (not an undefined name) for `tools` and `documents` that are not given.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError
from jinja2.utils import Namespace

from lib import checks


def render(template: str, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> str:
    """The chat as text, with `variables` (`tools`, `documents`, `bos_token`, …) beside the messages.

    Raises ValueError for a template that is no Jinja, or refuses or fails at these messages; TypeError for messages that
    are no dicts with a role, or hold other things than plain data.

    >>> render("{% for m in messages %}{{ m.role }}: {{ m.content }}\\n{% endfor %}",
    ...        [{"role": "user", "content": "Hi"}], {})
    'user: Hi\\n'
    """
    for message in checks.instance("messages", messages, list, tuple):
        if not isinstance(message, Mapping) or "role" not in message:
            raise TypeError(f"messages must be dicts with a 'role', got {message!r:.80}")
    given = plain({"tools": None, "documents": None, **variables, "messages": messages})
    try:
        return _compiled(template).render(given)
    except (jinja2.TemplateError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise ValueError(f"chat_template fails at these messages: {error}") from error


def plain(value: Any) -> Any:
    """The value as plain data: None, numbers, strings, lists and dicts of these, whose methods do nothing but compute.

    Raises TypeError for anything else.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind.__str__(value) if kind is str else kind(value)  # not a subclass, which may have other methods
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    raise TypeError(f"messages must hold strings, numbers, lists and dicts, got {type(value).__name__}")


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` around what the model is to learn: here its contents are all that counts."""

    tags = {"generation"}

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_contents"), [], [], body).set_lineno(line)

    def _contents(self, caller: Any) -> str:
        return caller()


class _Namespace(Namespace):
    """Jinja's, but for the names that lead into Python."""

    def __init__(*args: Any, **attributes: Any) -> None:  # so that an attribute may be called "self"
        self, *given = args
        Namespace.__init__(self, _public(dict(*given, **attributes)))

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(*_public({name: value}).popitem())


def _public(attributes: dict[str, Any]) -> dict[str, Any]:
    for name in attributes:
        if name.startswith("_"):
            raise SecurityError(f"a namespace cannot have {name!r}")
    return attributes


@lru_cache(maxsize=32)
def _compiled(template: str) -> jinja2.Template:
    jinja = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )  # as transformers sets it
    jinja.filters["tojson"] = _tojson
    jinja.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now, "namespace": _Namespace}
    return jinja.from_string(template)


def _tojson(
    x: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
