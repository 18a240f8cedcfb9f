"""One pyarrow schema per table: the single truth for the lake, checks, cards and column metadata.

What belongs here: the columns of every table of the platform, with a description in each field's metadata.
What does not: a dataset's own metadata columns (in its module of `datasets/`), and how tables are stored.
"""

import pyarrow as pa

#: Version of the lake's own layout. A lake of a later version is refused, not guessed at.
LAKE_FORMAT = 1


def column(name: str, kind: pa.DataType, description: str, *, nullable: bool = True) -> pa.Field:
    """A field that carries its description."""
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


def description_of(field: pa.Field) -> str:
    """The description of a field made by `column`, empty when it has none."""
    return (field.metadata or {}).get(b"description", b"").decode()


#: Every time in the lake is UTC, without a zone, so that SQL on it needs no time-zone tables.
TIMESTAMP = pa.timestamp("us")

SECTION = pa.struct(
    [
        ("text", pa.string()),
        ("context", pa.list_(pa.string())),
        ("kind", pa.string()),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
)

LAKE_FORMAT_TABLE = pa.schema(
    [
        column("format", pa.int64(), "Version of the lake's layout.", nullable=False),
        column("written_by", pa.string(), "Version of the program that created the catalog.", nullable=False),
    ]
)

RAW_FILES = pa.schema(
    [
        column("file", pa.string(), "Name under which the file is kept.", nullable=False),
        column("url", pa.string(), "Address it was published at.", nullable=False),
        column("feed", pa.string(), "Feed of the dataset; empty when there is one."),
        column("kind", pa.string(), "stock, increment or snapshot.", nullable=False),
        column("format", pa.string(), "targz, tarbz2, zip, json or csv.", nullable=False),
        column("etag", pa.string(), "ETag of the answer."),
        column("last_modified", pa.string(), "Last-Modified of the answer, ISO 8601 UTC."),
        column("stamp", pa.string(), "Upstream version: the archive's stamp, or the time of a snapshot."),
        column("size", pa.int64(), "Bytes."),
        column("sha256", pa.string(), "SHA-256 of the bytes, hexadecimal."),
        column("fetched_at", TIMESTAMP, "When it was downloaded."),
        column(
            "status",
            pa.string(),
            "ready, unreadable, stale (older than the stock), withdrawn or pruned (superseded, removed from disk).",
            nullable=False,
        ),
        column("reason", pa.string(), "Why it is not ready."),
    ]
)

#: Raw files that are no longer what the upstream published, because documents were erased from them.
RAW_ERASURES = pa.schema(
    [
        column("file", pa.string(), "Raw file that was written anew.", nullable=False),
        column("upstream_sha256", pa.string(), "SHA-256 of the bytes as published.", nullable=False),
        column("sha256", pa.string(), "SHA-256 of the bytes that are kept.", nullable=False),
        column("members", pa.int64(), "Members and records that were taken out.", nullable=False),
        column("note", pa.string(), "Why the file differs from the published one.", nullable=False),
        column("erased_at", TIMESTAMP, "When it was last written anew.", nullable=False),
    ]
)

SKIPPED_ARCHIVES = pa.schema(
    [
        column("file", pa.string(), "Archive that is passed over by a person's decision.", nullable=False),
        column("stamp", pa.string(), "Its upstream version."),
        column("reason", pa.string(), "Why, as the person wrote it.", nullable=False),
        column("skipped_at", TIMESTAMP, "When it was decided.", nullable=False),
    ]
)

APPLIED_FILES = pa.schema(
    [
        column("file", pa.string(), "Raw file that was applied.", nullable=False),
        column("sha256", pa.string(), "Its SHA-256 when it was applied.", nullable=False),
        column("stamp", pa.string(), "Its upstream version."),
        column("kind", pa.string(), "stock, increment or snapshot."),
        column("feed", pa.string(), "Feed of the dataset; empty when there is one."),
        column("parser_version", pa.string(), "Parser that read it."),
        column("applied_at", TIMESTAMP, "When its documents were committed."),
        column("delivered", pa.int64(), "Documents in the commit; counts stand at its last file."),
        column("added", pa.int64(), "Documents that were not there before."),
        column("changed", pa.int64(), "Documents whose content is another than before."),
        column("removed", pa.int64(), "Documents that went away."),
        column("refused", pa.int64(), "Inputs sent to quarantine."),
        column("skipped", pa.int64(), "Members skipped by rule."),
        column("suppressions", pa.int64(), "Lines of the suppression lists."),
    ]
)

DOCUMENT_KEY = column("doc_id", pa.string(), "Identifier of the document.", nullable=False)

DOCUMENT_COLUMNS = [
    column("sections", pa.list_(SECTION), "Text in reading order, with headings and kind."),
    column("content_hash", pa.string(), "SHA-256 over metadata and sections.", nullable=False),
    column("parser_version", pa.string(), "Parser that made the row.", nullable=False),
    column("source_file", pa.string(), "Raw file that the row comes from.", nullable=False),
    column("source_member", pa.string(), "Path inside the raw file.", nullable=False),
    column("source_modified", pa.float64(), "Time of the member in its archive, seconds since 1970 UTC."),
    column("source_sha256", pa.string(), "SHA-256 of the member's bytes.", nullable=False),
    column("source_url", pa.string(), "Page where a person reads the source."),
    column("source_updated_at", pa.string(), "ISO date of the source's own last change."),
    column("first_seen", TIMESTAMP, "When the document was first committed.", nullable=False),
    column("changed_at", TIMESTAMP, "When its content last changed.", nullable=False),
]

TOMBSTONES = pa.schema(
    [
        column("doc_id", pa.string(), "Document that vanished.", nullable=False),
        column("removed_at", TIMESTAMP, "When its absence was committed.", nullable=False),
        column("removed_by", pa.string(), "Raw file that no longer holds it or that suppresses it."),
        column("content_hash", pa.string(), "Content it had."),
    ]
)

#: `source_file` of texts that a model refused: they stand in quarantine beside refused documents.
REFUSED_BY_MODEL = "embeddings"

QUARANTINE = pa.schema(
    [
        column(
            "subject",
            pa.string(),
            "Identifier, or the member's path when none could be read.",
            nullable=False,
        ),
        column("member", pa.string(), "Path inside the raw file.", nullable=False),
        column("reason", pa.string(), "Why it was refused.", nullable=False),
        column("source_file", pa.string(), "Raw file.", nullable=False),
        column("seen_at", TIMESTAMP, "When it was refused.", nullable=False),
        column("size", pa.int64(), "Bytes of the input."),
        column("content", pa.binary(), "The input's first bytes, up to the configured limit."),
    ]
)

CHUNK_STATE = pa.schema(
    [
        column("chunking_id", pa.string(), "Tokenizer, size, template and splitter version.", nullable=False),
        column("doc_id", pa.string(), "Document that was split.", nullable=False),
        column("content_hash", pa.string(), "Content it had when it was split.", nullable=False),
        column("chunks", pa.int64(), "Chunks it gave (0 for a document without text)."),
    ]
)

CHUNKS = pa.schema(
    [
        column("chunking_id", pa.string(), "Tokenizer, size, template and splitter version.", nullable=False),
        column("chunk_id", pa.string(), "`{doc_id}_{chunk_index}`.", nullable=False),
        column("doc_id", pa.string(), "Document.", nullable=False),
        column("chunk_index", pa.int64(), "Position in the document, from 1.", nullable=False),
        column("context", pa.list_(pa.string()), "Headings above the text."),
        column("kind", pa.string(), "Kind of the section."),
        column("attributes", pa.map_(pa.string(), pa.string()), "Further facts of the section."),
        column(
            "text", pa.string(), "The piece; joined in order they give the document's text.", nullable=False
        ),
        column("chunk_text", pa.string(), "What is embedded: headings, then the text.", nullable=False),
        column("chunk_xxh64", pa.string(), "xxh64 of chunk_text, seed 2025, hexadecimal.", nullable=False),
        column(
            "text_key",
            pa.string(),
            "SHA-256 of passage prefix and chunk_text: key of its vector.",
            nullable=False,
        ),
        column("tokens", pa.int64(), "Tokens of chunk_text."),
        column("row_hash", pa.string(), "Hash over every published column but the vector.", nullable=False),
    ]
)

VECTORS = pa.schema(
    [
        column("text_key", pa.string(), "SHA-256 of passage prefix and text.", nullable=False),
        column("vector", pa.list_(pa.float32()), "The embedding.", nullable=False),
        column("created_at", TIMESTAMP, "When it was computed.", nullable=False),
    ]
)

INDEX_STATE = pa.schema(
    [
        column("collection", pa.string(), "Collection of the engine.", nullable=False),
        column("chunk_id", pa.string(), "Chunk whose point the engine acknowledged.", nullable=False),
        column("row_hash", pa.string(), "Row it was made of.", nullable=False),
    ]
)

RELEASES = pa.schema(
    [
        column("release", pa.string(), "Identifier.", nullable=False),
        column("profile", pa.string(), "Embedding profile.", nullable=False),
        column("input_digest", pa.string(), "Digest of everything it was built from.", nullable=False),
        column("manifest_sha256", pa.string(), "SHA-256 of its manifest.", nullable=False),
        column("path", pa.string(), "Folder, below the releases folder.", nullable=False),
        column("snapshot_id", pa.int64(), "Lake snapshot it was read from."),
        column("documents", pa.int64(), "Documents."),
        column("rows", pa.int64(), "Rows."),
        column("created_at", TIMESTAMP, "When it was built."),
    ]
)

#: Folders of releases: a table keeps the name that it was first given.
RELEASE_TABLES = pa.schema(
    [
        column(
            "identity", pa.string(), "What the table is, such as the identifier of a code.", nullable=False
        ),
        column("name", pa.string(), "Its folder in releases.", nullable=False),
    ]
)

APPROVALS = pa.schema(
    [
        column("release", pa.string(), "Release that was judged.", nullable=False),
        column("manifest_sha256", pa.string(), "SHA-256 of its manifest when it was judged.", nullable=False),
        column("decision", pa.string(), "approved or rejected; the newest row of a release counts.", nullable=False),
        column("decided_by", pa.string(), "Who decided, as named.", nullable=False),
        column("identity", pa.string(), "How the name is known: account (of the operating system) or declared.",
               nullable=False),
        column("comment", pa.string(), "Why, as the person wrote it."),
        column("decided_at", TIMESTAMP, "When.", nullable=False),
    ]
)  # fmt: skip

PUBLICATIONS = pa.schema(
    [
        column("sink", pa.string(), "Where it went: huggingface, data_gouv or albert.", nullable=False),
        column("release", pa.string(), "Release that was published.", nullable=False),
        column("manifest_sha256", pa.string(), "SHA-256 of its manifest.", nullable=False),
        column("url", pa.string(), "Where people find it."),
        column("facts", pa.string(), "What the sink answered (commit, identifiers, counts), a JSON object."),
        column("rollback", pa.bool_(), "Whether an earlier release was brought back.", nullable=False),
        column("published_by", pa.string(), "Who published, as named.", nullable=False),
        column("published_at", TIMESTAMP, "When the sink had everything.", nullable=False),
    ]
)

#: What the Albert collections hold: one row a document, written when the service has acknowledged all of it.
ALBERT_DOCUMENTS = pa.schema(
    [
        column("collection", pa.string(), "Identifier of the collection at the service.", nullable=False),
        column("doc_id", pa.string(), "Our document.", nullable=False),
        column("remote_id", pa.string(), "Its identifier at the service.", nullable=False),
        column("digest", pa.string(), "SHA-256 over everything that was sent of it.", nullable=False),
        column("synced_at", TIMESTAMP, "When the service acknowledged it.", nullable=False),
    ]
)

PURGED_DOCUMENTS = pa.schema(
    [
        column(
            "doc_id", pa.string(), "Document that was erased and is never taken in again.", nullable=False
        ),
        column("reason", pa.string(), "Why, as the person wrote it.", nullable=False),
        column("purged_by", pa.string(), "Who asked for it, as named.", nullable=False),
        column("purged_at", TIMESTAMP, "When.", nullable=False),
        column("finished_at", TIMESTAMP, "When every place had been searched; none: run the purge again."),
    ]
)

RETRIEVAL_RUNS = pa.schema(
    [
        column("run_at", TIMESTAMP, "When the run was recorded; the same in all its rows.", nullable=False),
        column("profile", pa.string(), "Embedding profile.", nullable=False),
        column("fingerprint", pa.string(), "Fingerprint of the profile.", nullable=False),
        column("collection", pa.string(), "Collection that was asked.", nullable=False),
        column("index_digest", pa.string(), "Digest of what the collection held.", nullable=False),
        column("questions_digest", pa.string(), "Digest of the questions asked.", nullable=False),
        column("code_version", pa.string(), "Version of the code that searches.", nullable=False),
        column("mode", pa.string(), "hybrid, dense or sparse.", nullable=False),
        column("part", pa.string(), "all, training or held_out.", nullable=False),
        column("questions", pa.int64(), "Questions of the part.", nullable=False),
        column("recall_1", pa.float64(), "Share of questions with a right document in the first place."),
        column("recall_5", pa.float64(), "Share of questions with a right document in the first 5."),
        column("recall_10", pa.float64(), "Share of questions with a right document in the first 10."),
        column("mrr", pa.float64(), "Mean reciprocal rank of the first right document, within 10."),
        column("ndcg_10", pa.float64(), "Mean normalised discounted gain of the first 10."),
        column("found_10", pa.float64(), "Mean share of the right documents in the first 10."),
        column(
            "ranks",
            pa.list_(pa.struct([("question", pa.string()), ("rank", pa.int64())])),
            "Rank of the first right document by question; no rank when it did not come back.",
        ),
    ]
)


def documents_schema(metadata: pa.Schema) -> pa.Schema:
    """Columns of a dataset's `documents` table: key, its own metadata, then the common columns."""
    return pa.schema([DOCUMENT_KEY, *metadata, *DOCUMENT_COLUMNS])


def dataset_tables(metadata: pa.Schema) -> dict[str, pa.Schema]:
    """Tables of a dataset's catalog, by name. `document_copies` holds the same id under other paths."""
    return {
        "raw_files": RAW_FILES,
        "raw_erasures": RAW_ERASURES,
        "applied_archives": APPLIED_FILES,
        "skipped_archives": SKIPPED_ARCHIVES,
        "documents": documents_schema(metadata),
        "document_copies": documents_schema(metadata),
        "tombstones": TOMBSTONES,
        "quarantine": QUARANTINE,
        "chunk_state": CHUNK_STATE,
        "chunks": CHUNKS,
        "index_state": INDEX_STATE,
        "releases": RELEASES,
        "release_tables": RELEASE_TABLES,
        "approvals": APPROVALS,
        "publications": PUBLICATIONS,
        "albert_documents": ALBERT_DOCUMENTS,
        "purged_documents": PURGED_DOCUMENTS,
        "retrieval_runs": RETRIEVAL_RUNS,
    }
