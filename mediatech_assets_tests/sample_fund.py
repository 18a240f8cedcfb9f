"""A DILA fund of the sample upstream, replayed apart from the platform, so that both can contradict each other.

What belongs here: what the tests of several funds need to read a folder of the sample. What does not: any test, and
the LEGI fund, whose archives show more than these (see `unit/test_sample_upstream.py`).
"""

import io
import re
import tarfile
from collections.abc import Callable, Sequence

from mediatech_assets.documents.model import Document, Member, Outcome
from mediatech_assets.sample_upstream.hosted import HostedFile


def documents_of(
    files: Sequence[HostedFile],
    wants: Callable[[str], bool],
    parse: Callable[[Member], list[Outcome]],
) -> dict[str, Document]:
    """Documents of a folder after its stock and every increment, by id; a refusal or an unknown member fails."""
    archives = {file.path.rpartition("/")[2]: file.data for file in files if file.path.endswith(".tar.gz")}
    state: dict[str, Document] = {}
    for name in sorted(archives, key=lambda name: re.findall(r"\d{8}-\d{6}", name)):
        members = _members(archives[name])
        lists = [path for path in members if path.startswith("liste_suppression_")]
        for path in lists:
            for line in members.pop(path).decode("ascii").splitlines():
                state.pop(f"{line.removesuffix(' D')}.xml", None)
        assert members, f"{name} delivers nothing"
        for path, data in members.items():
            assert wants(path), f"{name} delivers {path}, which is no document"
            (outcome,) = parse(Member(path, data, 0.0, name))
            assert isinstance(outcome, Document), outcome
            assert path.endswith(f"/{outcome.doc_id}.xml")
            state[path] = outcome
    return {document.doc_id: document for document in state.values()}


def _members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            re.sub(r"^\d{8}-\d{6}/", "", member.name): content.read()
            for member in tar
            if (content := tar.extractfile(member)) is not None
        }
