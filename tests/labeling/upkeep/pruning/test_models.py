"""Pruning of models: which keep their files, and what the pages say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labeling.errors import BadInput
from labeling.loop import retraining
from labeling.loop.registry import models as registry_models
from labeling.loop.upkeep import prune
from tests.factories import make_library, make_user
from tests.labeling.upkeep.pruning.world import (
    NO,
    YES,
    leave,
    numbers_with_files,
    snapshots_with_files,
)

pytestmark = pytest.mark.django_db


class TestModels:
    def test_put_in_use_and_newest_stay(self, library, make_model, settings):
        for decision in (NO, YES, NO, NO, YES, NO, NO, NO):
            make_model(decision)
        found = prune.prune(library)
        assert numbers_with_files(library) == {2, 5, 7, 8}
        assert snapshots_with_files(library, settings) == {2, 5, 7, 8}
        assert (found.models, found.evaluations, found.snapshots) == (4, 4, 4)
        assert found.bytes == 4 * 4 * len(b"something")
        assert library.models.count() == library.snapshots.count() == 8
        assert prune.prune(library).as_json() == prune.Pruned().as_json()

    def test_of_those_put_in_use_the_newest_stay(self, library, make_model):
        for decision in (YES, NO, YES, YES, NO, YES):
            make_model(decision)
        prune.prune(library)
        assert numbers_with_files(library) == {2, 4, 5, 6}

    def test_the_one_in_use_and_the_one_before_it_stay(self, library, make_model, settings):
        for decision in (YES, YES, YES, YES, NO):
            make_model(decision)
        registry_models.promote(library.models.get(number=2))
        registry_models.promote(library.models.get(number=1))
        settings.KEEP_MODELS = 0
        prune.prune(library)
        assert numbers_with_files(library) == {1, 2}
        registry_models.promote(library.models.get(number=2))

    def test_one_rolled_back_to_stays(self, library, make_model):
        first = make_model(NO)
        make_model(YES)
        registry_models.promote(first)
        registry_models.promote(library.models.get(number=2))
        for _ in range(3):
            make_model(NO)
        prune.prune(library)
        assert numbers_with_files(library) == {1, 2, 4, 5}

    def test_pruned_one_is_not_put_in_use(self, library, make_model):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        before_prune = library.models.get(number=1)
        prune.prune(library)
        for version in (before_prune, library.models.get(number=1)):
            with pytest.raises(BadInput, match="model 1 were removed to save space"):
                retraining.roll_back(version)
            with pytest.raises(BadInput, match="removed to save space"):
                registry_models.model_folder_of(library.models.get(number=1))
        assert registry_models.champion_of(library).number == 2
        assert not library.jobs.exists()

    def test_pages_say_so(self, library, make_model, client):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        prune.prune(library)
        client.force_login(make_user(library=library, role="manager"))
        text = client.get("/models/house/").content.decode()
        assert text.count("files removed") == 1
        assert text.count(">Promote</button>") == 2
        one = client.get("/models/house/1/").content.decode()
        assert "removed to save space" in one
        assert ">Promote</button>" not in one
        assert "file removed" in client.get("/snapshots/house/").content.decode()
        answer = client.post("/models/house/1/use/", follow=True).content.decode()
        assert "files of model 1 were removed" in answer

    def test_the_same_training_runs_again_where_its_model_was_pruned(self, make_model, library):
        first = make_model(NO)
        for decision in (YES, NO, NO):
            make_model(decision)
        snapshot = first.run.snapshot
        assert registry_models.same_run(snapshot, "d") == first.run
        prune.prune(library)
        assert registry_models.same_run(snapshot, "d") is None

    def test_only_the_library_asked_for(self, library, make_model):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        prune.prune(make_library())
        assert numbers_with_files(library) == {1, 2, 3, 4}

    def test_what_else_is_in_its_folder_stays(self, library, make_model):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        folder = registry_models.model_folder_of(library.models.get(number=1))
        leave(folder, "notes.txt")
        prune.prune(library)
        assert [path.name for path in folder.iterdir()] == ["notes.txt"]

    def test_folder_that_cannot_be_removed_is_left_to_the_sweep(
        self, library, make_model, monkeypatch
    ):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        folder = registry_models.model_folder_of(library.models.get(number=1))

        def refuse(path):
            raise PermissionError(13, "read-only", str(path))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            prune.prune(library)
        assert folder.is_dir()
        os.utime(folder, (1, 1))
        registry_models.sweep_models(library)
        assert not folder.exists()
