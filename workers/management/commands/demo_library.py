"""Create the synthetic demo library: audio, answers of two years, logins."""

from __future__ import annotations

import argparse
import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands

from labeling.errors import BadInput
from labeling.loop.demo import library as demo_data
from labeling.loop.importing.catalogue import probe_if_pending
from labeling.management.base import AudiotagCommand
from labeling.models import Library, ModelVersion
from labeling.private_files import private_folder
from workers.demo_audio import make_audio

_LEAST = 40


class Command(AudiotagCommand):
    help = (
        "Create a library of synthetic tracks and answers to try things on; again: no change."
    )
    needs_library = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--tracks",
            type=int,
            default=demo_data.N_TRACKS,
            metavar="N",
            help=f"tracks in all; the first {demo_data.N_AUDIO} get audio"
            " (default %(default)s)",
        )
        parser.add_argument(
            "--train",
            action=argparse.BooleanOptionalAction,
            default=False,
            help="also train a first model and rank the queue, in this process",
        )

    def answer(self, **options: Any) -> dict[str, Any]:
        if options["tracks"] < _LEAST:
            raise BadInput(f"--tracks {options['tracks']}: the demo needs {_LEAST} or more")
        folder = private_folder(Path(settings.DATA) / "demo")
        library = self._build(folder, options["tracks"])
        users = self._users(library, folder / "logins.json")
        if options["train"]:
            self._train(library)
        else:
            probe_if_pending(library)
        return {
            "library": library.slug,
            "tracks": library.tracks.count(),
            "address": f"http://127.0.0.1:{settings.PORT}/",
            "users": users,
        }

    def tell(self, answer: dict[str, Any]) -> None:
        self.stdout.write(
            f"demo library {answer['library']!r}: {answer['tracks']} synthetic tracks, "
            f"{answer['address']}"
        )
        for user in answer["users"]:
            password = user["password"] or "(unchanged)"
            self.stdout.write(f"  {user['name']:6} {user['role']:10} password {password}")

    def _build(self, folder: Path, n_tracks: int) -> Library:
        """Create what is missing; a library that was started keeps its number of tracks."""
        library = demo_data.start_demo()
        kept = folder / "tracks"
        planned = int(kept.read_text()) if kept.exists() else library.tracks.count()
        plan = demo_data.plan_demo(planned or n_tracks)
        kept.write_text(str(plan.n_tracks))
        audio = private_folder(folder / "audio")
        make_audio(
            plan.audible, plan.lengths_s, audio, settings.AUDIO_PROCESSES, self._progress
        )
        return demo_data.build_demo(plan, folder, audio, library.created_at)

    def _progress(self, done: int, total: int) -> None:
        if done in (1, total) or done % 20 == 0:
            self.say(f"synthesised {done} of {total} tracks")

    def _users(self, library: Library, kept: Path) -> list[dict[str, str | None]]:
        """Create the users; store their passwords first, so that no kill loses them."""
        known = json.loads(kept.read_text()) if kept.exists() else {}
        passwords = demo_data.passwords_for_new_users(known)
        if passwords != known:
            _write_private(kept, json.dumps(passwords, indent=1))
        return demo_data.make_users(library, passwords)

    def _train(self, library: Library) -> None:
        """Run a round unless there is a model; needs no broker and no worker."""
        if ModelVersion.objects.filter(library=library).exists():
            return
        if "run_round" not in get_commands():
            raise BadInput("there is no command run_round to train with")
        self.say("training a first model")
        with open(os.devnull, "w") as nowhere:
            call_command("run_round", library=library.slug, inline=True, stdout=nowhere)


def _write_private(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)
