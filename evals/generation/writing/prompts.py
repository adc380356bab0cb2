"""The prompts of generation: what a model is told and shown for each kind of question.

The examples are what a small model goes by; without them the 1.5B model asks "What does the sentence say?"
and answers with the whole sentence. They stand before the passage, so that they are read once a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rag_evals.evals.generation.kinds import QuestionKind, prompt_lines

# Counts up with every change of a prompt or an example: it is part of a question's provenance.
PROMPT_VERSION = 3

# Words of the examples: a model that writes of them has not written about its passage.
EXAMPLE_WORDS = ("Kestrel", "Norrby", "Marten", "Dahl", "mason bee", "honey bee", "rotary plough")

_ALONE = (
    "The question is read without the text, so it names its subject, which is a name or a term and never "
    "just the model or we. It never says it, this, the text, the passage, the paper, the authors or the "
    "sentence."
)

_RAILWAY = (
    "The Kestrel line opened in 1931 and links the harbour of Norrby with the mines at Tall. Between the "
    "two, its trains climb 412 metres on a rack, because plain wheels would slip on the ice. In winter a "
    "snow plough runs ahead of the first train. A rotary plough throws the snow aside with a turning "
    "wheel. The mines send down copper, zinc and lead."
)
_BEES = (
    "Mason bees live alone and nest in hollow stems. A female fills about eight cells with pollen and closes "
    "each of them with mud. Honey bees share a hive of up to 60,000 workers and close their cells with wax. "
    "In Dahl's trials of 2009, orchards with mason bees bore 30 percent more cherries."
)


def _example(text: str, given: Mapping[str, str], **reply: str) -> tuple[str, Mapping[str, str]]:
    heading = "The Kestrel Line" if "Kestrel" in text else "Mason Bees and Honey Bees" if text else ""
    return prompt_lines({"Heading": heading, "Text": text, **given}), reply


_ANSWERED = ("subject", "quote", "question", "answer")

FACT = QuestionKind(
    "fact",
    _ANSWERED,
    "Write one question about a fact that the sentence gives. The quote is the part of the sentence that "
    "answers the question, copied word by word. The answer is short and says no more than the quote. "
    f"{_ALONE}",
    (
        _example(
            _RAILWAY,
            {
                "Sentence": "Between the two, its trains climb 412 metres on a rack, because plain "
                "wheels would slip on the ice."
            },
            subject="the rack of the Kestrel line",
            quote="because plain wheels would slip on the ice",
            question="Why does the Kestrel line between Norrby and Tall use a rack?",
            answer="Because plain wheels would slip on the ice.",
        ),
        _example(
            _BEES,
            {"Sentence": "Honey bees share a hive of up to 60,000 workers and close their cells with wax."},
            subject="the cells of honey bees",
            quote="close their cells with wax",
            question="What do honey bees use to seal the cells of their hive?",
            answer="Wax.",
        ),
    ),
)
NUMBER = QuestionKind(
    "number",
    _ANSWERED,
    "Write one question whose answer is a number that stands in the sentence. The question says exactly "
    "what is counted or measured, of what, and under which conditions, and does not hold the number "
    "itself. The quote is the part of the sentence with the number, copied word by word. The answer is "
    f"the number with its unit. {_ALONE}",
    (
        _example(
            _RAILWAY,
            {
                "Sentence": "Between the two, its trains climb 412 metres on a rack, because plain "
                "wheels would slip on the ice."
            },
            subject="trains of the Kestrel line",
            quote="its trains climb 412 metres on a rack",
            question="How many metres do the trains of the Kestrel line climb between Norrby and Tall?",
            answer="412 metres.",
        ),
        _example(
            _BEES,
            {"Sentence": "Honey bees share a hive of up to 60,000 workers and close their cells with wax."},
            subject="honey bees",
            quote="share a hive of up to 60,000 workers",
            question="How many workers share one hive of honey bees at most?",
            answer="Up to 60,000.",
        ),
    ),
)
LIST = QuestionKind(
    "list",
    _ANSWERED,
    "Write one question that asks for all the things that the sentence lists. The question does not name any "
    "of them. The quote is the list, copied word by word. The answer is the whole list. "
    f"{_ALONE}",
    (
        _example(
            _RAILWAY,
            {"Sentence": "The mines send down copper, zinc and lead."},
            subject="the mines at Tall",
            quote="copper, zinc and lead",
            question="Which metals do the mines at Tall send down on the Kestrel line?",
            answer="Copper, zinc and lead.",
        ),
        _example(
            "",
            {"Sentence": "Norrby has grown around the old dock, the coal dock and the ferry dock."},
            subject="Norrby",
            quote="the old dock, the coal dock and the ferry dock",
            question="Which docks has Norrby grown around?",
            answer="The old dock, the coal dock and the ferry dock.",
        ),
    ),
)
DEFINITION = QuestionKind(
    "definition",
    _ANSWERED,
    "Write one question that asks what the term that the sentence explains is, does or means. The quote "
    "is the part of the sentence that explains it, copied word by word. The answer is the explanation. "
    f"{_ALONE}",
    (
        _example(
            _RAILWAY,
            {"Sentence": "A rotary plough throws the snow aside with a turning wheel."},
            subject="a rotary plough",
            quote="throws the snow aside with a turning wheel",
            question="What does a rotary plough do on a railway?",
            answer="It throws the snow aside with a turning wheel.",
        ),
    ),
)
COMPARISON = QuestionKind(
    "comparison",
    ("first_quote", "second_quote", "question", "answer"),
    "Write one question that compares what the first sentence says with what the second sentence says. "
    "Both sentences are needed for the answer, and the question names both things that are compared. The "
    f"quotes are the parts of the two sentences that are needed, copied word by word. {_ALONE}",
    (
        _example(
            "",
            {
                "First": "A female mason bee fills about eight cells with pollen and closes each of them "
                "with mud.",
                "Second": "Honey bees share a hive of up to 60,000 workers and close their cells with wax.",
            },
            first_quote="closes each of them with mud",
            second_quote="close their cells with wax",
            question="How do mason bees and honey bees differ in what they close their cells with?",
            answer="Mason bees close their cells with mud, honey bees with wax.",
        ),
        _example(
            "",
            {
                "First": "The Kestrel line climbs 412 metres on a rack.",
                "Second": "Built in 1950, the Marten line has no rack and climbs 90 metres.",
            },
            first_quote="climbs 412 metres",
            second_quote="climbs 90 metres",
            question="Which of the two railways climbs higher, the Kestrel line or the Marten line?",
            answer="The Kestrel line, which climbs 412 metres; the Marten line climbs 90 metres.",
        ),
    ),
)
PARAPHRASE = QuestionKind(
    "paraphrase",
    ("question",),
    "Ask the same question in quite other words and with another sentence structure. Names and numbers "
    "stay as they are, and the answer must stay the same.",
    (
        _example(
            "",
            {
                "Question": "Why does the Kestrel line between Norrby and Tall use a rack?",
                "Answer": "Because plain wheels would slip on the ice.",
            },
            question="For what reason were the trains from Norrby to Tall on the Kestrel line given a rack?",
        ),
        _example(
            "",
            {
                "Question": "How many workers does a hive of honey bees have at most?",
                "Answer": "Up to 60,000.",
            },
            question="What is the largest number of workers that live together in one honey bee hive?",
        ),
    ),
)
UNANSWERABLE = QuestionKind(
    "unanswerable",
    ("subject", "detail", "question"),
    "The text gives none of the details. Choose a subject of the text, and of the details the one that "
    "somebody would really want to know of this subject. Write one question that asks for it. "
    f"{_ALONE}",
    (
        _example(
            _RAILWAY,
            {"Details": "which prize was given for it; who built or made it; how many people use it today"},
            subject="the snow plough of the Kestrel line",
            detail="who built or made it",
            question="Which company built the snow plough that clears the Kestrel line in winter?",
        ),
        _example(
            _BEES,
            {"Details": "how long it takes; who paid for it; which law applies to it"},
            subject="the closing of cells by mason bees",
            detail="how long it takes",
            question="How many minutes does a female mason bee need to close a cell?",
        ),
        _example(
            _BEES,
            {"Details": "what it was replaced by later; in which month it began; who paid for it"},
            subject="Dahl's trials of 2009",
            detail="who paid for it",
            question="Who paid for Dahl's trials of orchards with mason bees in 2009?",
        ),
    ),
)
FALSE_PREMISE = QuestionKind(
    "false_premise",
    ("question",),
    "Write one question that takes the statement for granted. It repeats the number of the statement that is "
    f"marked, and asks why, how or for what that is so. {_ALONE}",
    (
        _example(
            _BEES.replace("about eight", "about three"),
            {
                "Statement": "A female fills about three cells with pollen and closes each of them with mud.",
                "Number": "three",
            },
            question="Why does a female mason bee fill about three cells with pollen before she stops?",
        ),
        _example(
            _RAILWAY.replace("1931", "1951"),
            {
                "Statement": "The Kestrel line opened in 1951 and links the harbour of Norrby with the mines "
                "at Tall.",
                "Number": "1951",
            },
            question="What was the reason for opening the Kestrel line between Norrby and Tall in 1951?",
        ),
    ),
)
# Details that a text on a subject seldom gives; whether it does is for a rule on the whole corpus to find.
# The subject may be a thing, a method, a person, a place or an event, so the model takes one of a few. Told
# which one to take, the 1.5B model asked which patent protects Tibetan Buddhism.
# Nothing that a paper says where nobody looks for questions: its authors, their addresses, whom they thank.
DETAILS = (
    "what it cost in money",
    "how long it takes",
    "how long it lasted",
    "who had the idea for it",
    "who paid for it",
    "who owns it today",
    "how many people worked on it",
    "how many people use it today",
    "in which month it began",
    "in which month it was first shown in public",
    "in which town it was made",
    "what is planned for it next",
    "what it was replaced by later",
    "what its critics say about it",
    "where its name comes from",
    "which prize was given for it",
    "which law applies to it",
    "how much it weighs",
    "how much electricity it uses",
    "which programming language it is written in",
    "what its users pay for it",
    "which school the person went to",
    "how old the person was then",
    "who trained or taught the person",
)
# That a model may choose from.
DETAILS_SHOWN = 6

# A distractor is written as a fact or a number: that a similar sentence says something else is no matter
# of the prompt. Shown both sentences, the 1.5B model gave nothing valid in four of four tries.
PROMPTS: Mapping[str, QuestionKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            FACT,
            NUMBER,
            LIST,
            DEFINITION,
            COMPARISON,
            PARAPHRASE,
            UNANSWERABLE,
            FALSE_PREMISE,
        )
    }
)
