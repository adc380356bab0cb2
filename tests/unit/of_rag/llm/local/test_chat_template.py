"""Chat templates: where the user's words go, and what a template that comes with weights cannot do."""

from __future__ import annotations

import pytest
from rag_evals.rag.errors import ModelError
from rag_evals.rag.llm.local import chat_template
from rag_evals.rag.llm.local.chat_template import ChatTemplate

SYSTEM = "Be brief."
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TURNS = "{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"
# The one user turn of a model that knows no system turn.
FOLDED = ("<s>[INST] Be brief.\n\n", " [/INST]")


def around(source: str) -> tuple[str, str]:
    return ChatTemplate("m", source, bos="<s>", eos="</s>").around_user_turn(SYSTEM)


def refusal(source: str) -> str:
    with pytest.raises(ModelError) as caught:
        around(source)
    return str(caught.value)


def test_a_template_with_a_system_turn():
    """The head holds the system turn, the tail ends where the model's answer begins."""
    assert around(CHATML) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
    )


def test_a_model_that_thinks_aloud_gets_an_empty_thought():
    """Templates of reasoning models know a switch: with it the first answer position is the answer's."""
    switch = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    assert around(CHATML + switch)[1] == ("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_a_template_that_refuses_a_system_turn():
    """A template that raises on a system turn gets its text at the head of the user's."""
    refuses = "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}"
    assert around(refuses + TURNS) == FOLDED


def test_a_template_that_drops_the_system_turn():
    """So does one that leaves the system turn out without a word."""
    drops = TURNS.replace("messages", "messages if m.role == 'user'")
    assert around("{{ bos_token }}" + drops) == FOLDED


def test_a_template_that_takes_the_last_turn_only():
    """Nor is the user's turn lost to a template that keeps only the first."""
    assert around("{{ bos_token }}[INST] {{ messages[0].content }} [/INST]") == FOLDED


def test_blocks_are_trimmed_as_published_templates_expect():
    """A line that holds nothing but a tag leaves nothing behind; `break` is a word of the language."""
    source = """\
{{ bos_token }}
    {%- for m in messages %}
    {% if loop.index > 2 %}
        {% break %}
    {% endif %}
{{ m.content }}{{ eos_token }}
{% endfor %}
"""
    assert around(source) == ("<s>Be brief.</s>\n", "</s>\n")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "You are a helpful assistant.",
        "{{ messages[0].role }}",
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
    ],
)
def test_a_template_that_drops_the_users_words(source):
    """A template that does not repeat the user's words as they are is refused."""
    assert refusal(source) == "the chat template of m drops the user's words: use another model."


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ raise_exception('tools only') }}", "tools only"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ missing.attribute }}", "'missing' is undefined"),
        ("{% fox %}", "Encountered unknown tag 'fox'."),
    ],
)
def test_a_template_that_fails(source, reason):
    """A template that fails on the plainest conversation is refused with its reason, whatever it raises."""
    assert refusal(source) == f"the chat template of m fails ({reason}): use another model."


@pytest.mark.parametrize(
    "escape",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception.__globals__.keys() }}",
        "{{ cycler.__init__.__globals__.os.system('touch escaped') }}",
        "{{ messages.append(1) }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(raise_exception) }}",
        "{{ range(10**9) | list }}",
        "{% include '/etc/hostname' %}",
    ],
)
def test_a_hostile_template_stays_in_its_sandbox(escape, tmp_path, monkeypatch):
    """A template reaches no Python object, no file and no memory beyond its own: it is refused."""
    monkeypatch.chdir(tmp_path)
    assert refusal(CHATML + escape).startswith("the chat template of m fails (")
    assert list(tmp_path.iterdir()) == []


def test_words_of_the_system_text_are_no_template():
    """Template syntax in a system text is text."""
    head, _ = ChatTemplate("m", CHATML, "", "").around_user_turn("{{ 7 * 7 }}")
    assert head == "<|im_start|>system\n{{ 7 * 7 }}<|im_end|>\n<|im_start|>user\n"


MEMORY = "it takes too much memory"
BOUNDS = "it takes more than 1 s or 512 MiB"
# A block of text of a million characters, which a template may well make, and then put together anew.
BLOCK = "{% set a = 'a' * 1000000 %}"
GROWING = (
    "{% set n = namespace(a='ab') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}{{ n.a }}"
)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ 'a' * 3000000000 }}", MEMORY),
        ("{% set n = 3000000000 %}{{ 'a' * n }}", MEMORY),
        ("{{ 'a'.ljust(3000000000) }}", MEMORY),
        ("{{ 'a' | center(3000000000) }}", MEMORY),
        ("{{ '%3000000000d' % 1 }}", MEMORY),
        ("{{ '{:>3000000000}'.format('a') }}", MEMORY),
        ("{{ 'a' | indent(3000000000) }}", ""),
        ("{{ [0] * 3000000000 }}", MEMORY),
        (GROWING, MEMORY),
        (BLOCK + "{{ ([a] * 10000) | join }}", MEMORY),
        (BLOCK + "{{ a.replace('a', a) }}", MEMORY),
        (BLOCK + "{{ a | replace('a', a) }}", MEMORY),
        (BLOCK + "{% for i in range(100000) %}{{ a }}{% endfor %}", MEMORY),
        (BLOCK + "{{ a }}{{ a }}", "it writes 2,0"),
        ("{{ 10 ** (10 ** 8) }}", BOUNDS),
        ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", BOUNDS),
        ("{% macro m(x) %}{{ m(x) }}{{ m(x) }}{% endmacro %}{{ m(1) }}", "maximum recursion depth exceeded"),
        ("{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}", ""),
        ("{{ " + "-" * 50_000 + "1 }}", ""),
        ("{% if 1 %}" * 5_000 + "{% endif %}" * 5_000, ""),
        (" " * 1_000_001, "it has 1,000,"),
    ],
    ids=range(21),
)
def test_a_template_without_end_is_ended(source, reason, monkeypatch):
    """Whatever a template does to take time or memory, one line refuses it."""
    if reason == BOUNDS:
        monkeypatch.setattr(chat_template, "SECONDS", 1)
    found = refusal(CHATML + source)
    assert found.startswith(f"the chat template of m fails ({reason}")
    assert found.endswith("): use another model.")
    assert "\n" not in found


def test_a_template_that_is_not_compiled_within_bounds(monkeypatch):
    """Jinja computes what is constant when it compiles a template: that is bounded as well."""
    monkeypatch.setattr(chat_template, "SECONDS", 1)
    with pytest.raises(ModelError) as caught:
        ChatTemplate("m", "{{ 10 ** (10 ** 8) }}", "", "").check()
    assert str(caught.value) == f"the chat template of m cannot be read ({BOUNDS}): use another model."


def test_what_a_template_raises_is_one_line():
    """A reason of a stranger is no page of text, and no line of its own."""
    found = refusal("{{ raise_exception('one\\n' * 100000) }}")
    assert found.startswith("the chat template of m fails (one one one")
    assert len(found) < 300
