"""Cross-validate several networks on the same folds and print one table."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from labeling.errors import BadInput
from labeling.loop import features
from labeling.models import Job, Library
from labeling.models.jobs import JobKind
from ml.evaluation.network_comparison import as_markdown
from ml.networks import feature_config_for, names
from workers.management.chain import ChainCommand
from workers.management.commands.train import check_network

_KEYS = ("networks", "references", "snapshot", "folds", "seed", "seconds")
#: The table is between these lines of a file; the rest of the file is kept.
BEGIN, END = "<!-- compare_networks: begin -->", "<!-- compare_networks: end -->"


class Command(ChainCommand):
    help = "Cross-validate networks on the same folds: accuracy, differences, time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        known = ", ".join(names())
        parser.add_argument("--networks", metavar="A,B,C", help=f"default: all: {known}")
        parser.add_argument(
            "--references", metavar="A,B", help="compare with these; default: the first"
        )
        parser.add_argument("--snapshot", type=int, metavar="N", help="default: a new one")
        parser.add_argument("--folds", type=int, default=5, metavar="K")
        parser.add_argument("--seed", type=int, default=0, metavar="N")
        parser.add_argument(
            "--out", type=Path, metavar="FILE.md", help="write the table here (Markdown)"
        )

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        arguments = _checked(library, options)
        waiting = self._complete_features(library, arguments["networks"], options)
        if waiting is not None:
            self.say("the features are needed first: run this command again after that job")
            return dict.fromkeys(_KEYS) | {"pending_jobs": [waiting.pk]}
        job = self.do(JobKind.EVALUATE, library, options, arguments=arguments)
        answer = self.reply(job, _KEYS)
        if answer["networks"] and options["out"]:
            written(options["out"], table_of(answer))
        return answer

    def tell(self, answer: dict[str, Any]) -> None:
        if answer["networks"]:
            self.stdout.write(table_of(answer))
        else:
            super().tell(answer)

    def _complete_features(
        self, library: Library, networks: list[str], options: dict[str, Any]
    ) -> Job | None:
        """Extract missing features of any network; return the job that waits."""
        for name in sorted(
            {feature_config_for(network, library.features) for network in networks}
        ):
            steps: list[str] = []
            if features.has_pending_probe(library):
                steps.append(JobKind.PROBE)
            if steps or features.has_missing_features(library, features.feature_set_of(name)):
                steps.append(JobKind.FEATURES)
                chain = self.do_chain(library, options, steps, {"features": name})
                if chain and chain[-1].state in Job.OPEN:
                    return chain[-1]
        return None


def _checked(library: Library, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the job, or refuse before anything is written."""
    chosen = _listed(options["networks"]) or names()
    for name in chosen:
        check_network(name)
    references = _listed(options["references"]) or chosen[:1]
    for reference in references:
        if reference not in chosen:
            raise BadInput(f"the reference {reference} is not among {', '.join(chosen)}")
    if options["folds"] < 2 or options["seed"] < 0:
        raise BadInput("--folds must be at least 2 and --seed at least 0")
    number = options["snapshot"]
    if number is not None and not library.snapshots.filter(number=number).exists():
        raise BadInput(f"{library.slug} has no snapshot {number}")
    if not features.has_audio(library):
        raise BadInput(f"no track of {library.slug} has audio to learn from")
    if options["out"] is not None and not options["out"].parent.is_dir():
        raise BadInput(f"there is no folder {options['out'].parent}")
    return {
        "networks": chosen,
        "references": references,
        "snapshot": number,
        "folds": options["folds"],
        "seed": options["seed"],
        "lowers_support": False,
        "reason": "compare_networks",
    }


def _listed(text: str | None) -> list[str]:
    """Return the names of a comma-separated list, each once."""
    names_given = (name.strip() for name in (text or "").split(","))
    return list(dict.fromkeys(name for name in names_given if name))


def table_of(answer: dict[str, Any]) -> str:
    """Return the answer's rows as Markdown."""
    return as_markdown(
        answer["networks"], answer["references"], answer["folds"], answer["seed"]
    )


def written(path: Path, table: str) -> None:
    """Write the table: between its marks if the file has them, else as the whole file."""
    text = path.read_text() if path.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        path.write_text(f"{before}{BEGIN}\n{table}{END}{after}")
    else:
        path.write_text(table)
