"""The tutorial notebook, executed as a reader would: on releases of the sample, with nothing written elsewhere.

It is executed once for the module, as it stands; cells that are added after its last one drive what a reader would
do next: ask a language model, take the next release, open one that was damaged on the way.
"""

import json
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient

from mediatech_assets.index.search import SearchAnswer
from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "rag_tutorial.ipynb"
DATASETS = ("legi", "service_public")

FIRST_DAY, NEXT_DAY = 1, 2
QUESTION = "combien de jours de vacances mon patron me doit-il par an ?"
SHEET = "F90002"
ARTICLE = "LEGIARTI000099000102"
TELEWORK_BEFORE, TELEWORK_SINCE_2026 = "LEGIARTI000099000117", "LEGIARTI000099000130"

#: The first day is released, not searched.
WITHOUT_INDEX = tuple(layer for layer in BUILT_LAYERS if layer not in (Layer.INDEX, Layer.EVALUATION))

#: What a model says that cites a source, and one that it was not given.
SAID = "Trente jours ouvrables par an [1], à prendre avant Noël [9]."

_CELL_SECONDS = 240

ASK_MODEL = """
os.environ |= {"LLM_URL": "@URL@/v1/", "LLM_KEY": "clef", "LLM_MODEL": "petit-modèle"}
show(answer(QUESTION, sources), sources)
"""
TAKE_NEXT_RELEASES = """
for name, new in open_releases(Path(os.environ["NEXT_RELEASE_FOLDER"])).items():
    update(former=releases[name], new=new)
    update(former=new, new=new)
    releases[name] = new
print(json.dumps({
    "chunks": {name: sorted(chunk for _, chunk in stored_chunks(new)) for name, new in releases.items()},
    "found": [[source.doc_id, source.text, source.score] for source in search(QUESTION)],
    "dates": sorted({source.updated_at for source in search("décret", limit=100, datasets=["legi"])}),
}))
"""
OPEN_DAMAGED_RELEASES = """
def opened(damage):
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(SHEETS.folder, copy)
        damage(next((copy / "data").rglob("*.parquet")))
        try:
            open_releases(copy)
        except (ValueError, FileNotFoundError) as error:
            print(type(error).__name__, error)

import shutil
opened(lambda path: path.write_bytes(path.read_bytes()[:-1]))
opened(lambda path: path.unlink())
opened(lambda path: path.with_name("other.parquet").write_bytes(path.read_bytes()))
opened(lambda path: (path.parents[2] / "manifest.json").unlink())
"""
EMPTY_QUESTIONS = """
print("words only:", search("est-ce que vous", embed=None))
print("hybrid:", len(search("est-ce que vous")))
"""


@dataclass
class ChatService:
    """A double of a language model's service.

    Args:
        url: Its base.
        requests: Path, authorisation and body of everything that it was sent.
    """

    url: str
    requests: list[tuple[str, str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Published:
    """What the platform published on two days.

    Args:
        folders: Folder with all releases until then, by day.
        chunks: Chunk ids of the newest release, sorted, by day and dataset.
        answer: What the platform itself answers to the question on the last day.
    """

    folders: Mapping[int, Path]
    chunks: Mapping[tuple[int, str], list[str]]
    answer: SearchAnswer


@dataclass(frozen=True)
class Executed:
    """What the notebook did.

    Args:
        shown: Text that each cell printed, by the cell's id.
        chat: What was sent to the language model's service.
        written: Files that appeared in the reader's home and working folders.
    """

    shown: Mapping[str, str]
    chat: ChatService
    written: list[Path]


@pytest.fixture(scope="module")
def published(sample_days, tmp_path_factory) -> Published:
    folder = tmp_path_factory.mktemp("published")
    folders, chunks = {}, {}
    for day, layers in ((FIRST_DAY, WITHOUT_INDEX), (NEXT_DAY, BUILT_LAYERS)):
        # Points in memory, one process: what is under test is the reader's side.
        settings = load_settings(
            home=folder / "home", upstream_base=str(sample_days[day]), index_engine="memory", workers=1
        )
        platform = Platform(settings)
        for dataset in DATASETS:
            below = settings.releases_folder / dataset
            before = set(below.glob("*"))
            for layer in layers:
                platform.materialise(dataset, layer)
            [release] = set(below.glob("*")) - before
            tables = (pq.read_table(file) for file in (release / "data").rglob("*.parquet"))
            chunks[day, dataset] = sorted(
                chunk for table in tables for chunk in table["chunk_id"].to_pylist()
            )
        platform.close()
        folders[day] = folder / f"day{day}"
        shutil.copytree(settings.releases_folder, folders[day])
    answer = Platform(settings, read_only=True).search(QUESTION, DATASETS, "hybrid", 5)
    return Published(folders, chunks, answer)


@pytest.fixture(scope="module")
def executed(published, tmp_path_factory) -> Executed:
    folder = tmp_path_factory.mktemp("reader")
    places = {name: folder / name for name in ("home", "work", "jupyter")}
    for place in places.values():
        place.mkdir()
    with chat_service() as chat, pytest.MonkeyPatch.context() as environment:
        for name in ("LLM_URL", "LLM_KEY", "LLM_MODEL", "QDRANT_URL", "QDRANT_API_KEY"):
            environment.delenv(name, raising=False)
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            environment.setenv(name, str(places["jupyter"] / name.lower()))
        environment.setenv("HOME", str(places["home"]))
        environment.setenv("TMPDIR", str(places["jupyter"]))
        environment.setenv("NO_PROXY", "127.0.0.1")
        environment.setenv("PYTHONPATH", str(ROOT))
        environment.setenv("RELEASE_FOLDER", str(published.folders[FIRST_DAY]))
        environment.setenv("NEXT_RELEASE_FOLDER", str(published.folders[NEXT_DAY]))
        shown = execute(places["work"], chat)
    written = [path for name in ("home", "work") for path in places[name].rglob("*")]
    return Executed(shown, chat, written)


def execute(working_folder: Path, chat: ChatService) -> dict[str, str]:
    """Runs the notebook and the added cells; what each printed, by its id. A cell that fails fails the test."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    added = {
        "empty-questions": EMPTY_QUESTIONS,
        "damaged-releases": OPEN_DAMAGED_RELEASES,
        "ask-model": ASK_MODEL.replace("@URL@", chat.url),
        "next-releases": TAKE_NEXT_RELEASES,
    }
    book.cells += [nbformat.v4.new_code_cell(source, id=name) for name, source in added.items()]
    resources = {"metadata": {"path": str(working_folder)}}
    NotebookClient(book, timeout=_CELL_SECONDS, kernel_name="python3", resources=resources).execute()
    return {
        cell.id: "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in book.cells
        if cell.cell_type == "code"
    }


@contextmanager
def chat_service() -> Iterator[ChatService]:
    """A service on a free port of this machine that always says `SAID`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            chat.requests.append((self.path, self.headers["Authorization"], body))
            content = json.dumps({"choices": [{"message": {"role": "assistant", "content": SAID}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test's output is the test's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    chat = ChatService(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def test_the_notebook_is_valid_and_stores_no_outputs():
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    stored = [
        cell.id
        for cell in book.cells
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count or cell.metadata)
    ]
    assert stored == [], "clear all outputs before saving docs/rag_tutorial.ipynb"


def test_every_row_becomes_a_point(published, executed):
    for dataset in DATASETS:
        rows = len(published.chunks[FIRST_DAY, dataset])
        assert f"tutorial-{dataset}: {rows} points of {rows} rows\n" in executed.shown["points-of-release"]


def test_the_sheet_and_the_article_that_answer_are_found_and_credited(executed):
    assert executed.shown["simple-search"].splitlines()[0].split()[1] == f"{SHEET}_1"
    first, second = executed.shown["search"].splitlines()[:2]
    assert (first.split()[2], second.split()[2]) == (SHEET, ARTICLE)
    sheet, article, *_ = executed.shown["show-sources"].splitlines()
    assert sheet.startswith(
        "[1] Congés payés du salarié dans le secteur privé. Direction de l'information légale"
    )
    assert sheet.endswith(
        f"mise à jour du 07/10/2025. https://www.service-public.fr/particuliers/vosdroits/{SHEET}"
    )
    # LEGI dates no article: the date of the dataset stands in.
    assert article.endswith(
        f"mise à jour du 06/01/2026. https://www.legifrance.gouv.fr/codes/article_lc/{ARTICLE}"
    )
    assert executed.shown["show-sources"].splitlines()[-1].startswith("Licence Ouverte 2.0")


def test_the_law_is_that_of_the_day(executed):
    every_version, in_force = executed.shown["in-force"].split("in force\n")
    assert {TELEWORK_BEFORE, TELEWORK_SINCE_2026} <= set(re.findall(r"LEGI\w+", every_version))
    assert TELEWORK_SINCE_2026 in in_force
    assert TELEWORK_BEFORE not in in_force
    versions = re.findall(r"^(\S+): .*\((\w+)\)$", executed.shown["law-as-of"], re.MULTILINE)
    assert versions == [("2025-06-01", TELEWORK_BEFORE), ("2026-02-01", TELEWORK_SINCE_2026)]


def test_without_a_language_model_the_request_is_shown_and_nothing_is_sent(executed):
    message, _, body = executed.shown["ask-llm"].partition("\n")
    assert message.startswith("nothing is sent: LLM_URL, LLM_KEY, LLM_MODEL not set.")
    rules, request = (each["content"] for each in json.loads(body)["messages"])
    assert "uniquement d'après les sources numérotées" in rules
    assert request.startswith(f"Question : {QUESTION}\n\nSources :\n\n[1] Congés payés du salarié")
    assert "soit 30 jours ouvrables par an" in request
    # One request in all: that of the cell which was added.
    assert len(executed.chat.requests) == 1


def test_a_language_model_gets_the_prompt_and_its_citations_are_checked(executed):
    [(path, authorisation, body)] = executed.chat.requests
    assert (path, authorisation, body["model"]) == ("/v1/chat/completions", "Bearer clef", "petit-modèle")
    assert body["messages"] == json.loads(executed.shown["ask-llm"].partition("\n")[2])["messages"]
    said, _, cited, invented = executed.shown["ask-model"].splitlines()
    assert said == SAID
    assert cited.startswith("[1] Congés payés du salarié")
    assert invented == "[9] cette source n'existe pas"


def test_words_alone_answer_when_no_embedding_service_does(executed):
    said, *found = executed.shown["sparse-only"].splitlines()
    assert said.startswith("Recherche par mots seulement.")
    assert any(line.endswith(SHEET) for line in found)
    assert executed.shown["empty-questions"] == "words only: []\nhybrid: 5\n"


def test_a_point_that_the_release_does_not_have_is_removed(executed):
    assert executed.shown["update-run"] == "service_public: 0 of 1 files written, 1 points removed\n"


def test_the_next_release_leaves_the_same_index_as_the_platforms(published, executed):
    *lines, last = executed.shown["next-releases"].splitlines()
    state = json.loads(last)
    for dataset in DATASETS:
        former, new = (published.chunks[day, dataset] for day in (FIRST_DAY, NEXT_DAY))
        assert state["chunks"][dataset] == new
        first, again = (line for line in lines if line.startswith(f"{dataset}: "))
        assert first.endswith(f" {len(set(former) - set(new))} points removed")
        assert re.fullmatch(rf"{dataset}: 0 of \d+ files written, 0 points removed", again)
    # Also those of files that were not written again.
    assert state["dates"] == ["2026-01-07"]
    documents, texts, scores = zip(*state["found"], strict=True)
    expected = published.answer.results
    assert list(documents) == [result.doc_id for result in expected]
    assert list(texts) == [result.text for result in expected]
    assert list(scores) == pytest.approx([result.score for result in expected], rel=1e-4)


def test_a_release_that_was_damaged_on_the_way_is_refused(executed):
    problems = executed.shown["damaged-releases"].splitlines()
    assert [problem.split()[0] for problem in problems] == [*["ValueError"] * 3, "FileNotFoundError"]
    assert all("not those of its manifest" in problem for problem in problems[:3])


def test_nothing_is_written_into_the_readers_folders(executed):
    assert executed.written == []
