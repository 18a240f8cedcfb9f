"""What each archive of the sample's LEGI folder delivers.

What belongs here: the stock of 5 January 2026, an increment older than it, the two increments after it, and
the suppression lists. What does not: the words (`texts_legi.py`) and the writing (`legi_xml.py`).

The increments show every case that a reader must get right: a corrected article under the same id, a new
version under a new id, a new article, a deletion (one line ends in ` D`), an id that was never there, a move
to another folder, a path suppressed and delivered in the same archive, a list that names folders.
"""

from datetime import UTC, datetime, timedelta

from mediatech_assets.sample_upstream import texts_legi as texts
from mediatech_assets.sample_upstream.archives import ArchivedFile, tar_gz
from mediatech_assets.sample_upstream.hosted import INCREMENT_TIMES, STAMP_FORMAT, STOCK_TIME, Delivery
from mediatech_assets.sample_upstream.legi_xml import (
    Article,
    LegalText,
    article_xml,
    folders_of,
    section_xml,
    structure_xml,
    version_xml,
)

_OUTDATED_BY = timedelta(days=400)


def legi_deliveries() -> list[Delivery]:
    """All archives of the folder, oldest first."""
    return [_increment_before_the_stock(), _stock(), _first_increment(), _second_increment()]


def _stock() -> Delivery:
    stamp = STOCK_TIME
    outdated = ArchivedFile(
        f"{texts.PUBLIC_CODE.folder}/{texts.OUTDATED_DUPLICATE.path}",
        article_xml(texts.OUTDATED_DUPLICATE, texts.DECREE),
        stamp - _OUTDATED_BY,
    )
    files = [
        *_whole_text(texts.LABOUR_CODE, texts.LABOUR_ARTICLES, stamp),
        *_whole_text(texts.PUBLIC_CODE, texts.PUBLIC_ARTICLES, stamp),
        *_whole_text(texts.DECREE, texts.DECREE_ARTICLES, stamp),
        outdated,
    ]
    name = f"Freemium_legi_global_{stamp:{STAMP_FORMAT}}.tar.gz"
    return Delivery(name, stamp, 0, tar_gz(files, stamp))


def _increment_before_the_stock() -> Delivery:
    code = texts.LABOUR_CODE
    return _increment(
        datetime(2026, 1, 3, 21, 0, 0, tzinfo=UTC),
        day=0,
        delivered=[(code, texts.BEFORE_THE_STOCK_OUTDATED), (code, texts.BEFORE_THE_STOCK_UNKNOWN)],
        suppressed=[_suppression(code, texts.article_of_stock(101))],
    )


def _first_increment() -> Delivery:
    code = texts.LABOUR_CODE
    return _increment(
        INCREMENT_TIMES[0],
        day=1,
        delivered=[
            (code, texts.REMOTE_WORK_ENDED),
            (code, texts.REMOTE_WORK),
            (code, texts.OVERTIME_CORRECTED),
            (code, texts.CARRY_OVER),
        ],
        moved=[(code, texts.LEAVE_REGISTER_REPEALED)],
        suppressed=[
            f"{_suppression(texts.PUBLIC_CODE, texts.article_of_stock(204))} D",
            _suppression(code, Article("LEGIARTI000098765432", "", "", "")),
        ],
    )


def _second_increment() -> Delivery:
    public, labour = texts.PUBLIC_CODE, texts.LABOUR_CODE
    return _increment(
        INCREMENT_TIMES[1],
        day=2,
        delivered=[
            (public, texts.SILENCE_COMPLETED),
            (public, texts.ELECTRONIC_REQUESTS),
            (labour, texts.PATERNITY_IN_FORCE),
            (labour, texts.MATERNITY_CORRECTED),
        ],
        suppressed=[
            _suppression(public, texts.SILENCE_COMPLETED),
            _suppression(labour, texts.article_of_stock(107)),
            f"{labour.folder}/section_ta/LEGI/SCTA/00/00/98/00/00/LEGISCTA000098000001",
        ],
    )


def _increment(
    stamp: datetime,
    day: int,
    delivered: list[tuple[LegalText, Article]],
    suppressed: list[str],
    moved: list[tuple[LegalText, Article]] | None = None,
) -> Delivery:
    """An increment; an article of `moved` leaves its folder for that of what is no longer in force."""
    prefix = f"{stamp:{STAMP_FORMAT}}"
    lines = list(suppressed)
    files = [
        ArchivedFile(f"{prefix}/{text.folder}/{article.path}", article_xml(article, text), stamp)
        for text, article in delivered
    ]
    for text, article in moved or []:
        lines.append(_suppression(text, article))
        path = f"{prefix}/{_out_of_force(text.folder)}/{article.path}"
        files.append(ArchivedFile(path, article_xml(article, text), stamp))
    touched = {text.cid: text for text, _ in delivered}
    for text in touched.values():
        path = f"{prefix}/{text.folder}/texte/version/{text.id}.xml"
        files.append(ArchivedFile(path, version_xml(text, f"{stamp:%Y-%m-%d}"), stamp))
    folder_line = (
        "legi/global/code_et_TNC_en_vigueur/TNC_en_vigueur/JORF/TEXT/00/00/98/00/00/JORFTEXT000098000001 D"
    )
    files += [
        ArchivedFile(f"{prefix}/liste_suppression_legi.dat", _lines(sorted(lines)), stamp),
        ArchivedFile(f"{prefix}/liste_suppression_legi_dossier.dat", _lines([folder_line]), stamp),
    ]
    return Delivery(f"LEGI_{prefix}.tar.gz", stamp, day, tar_gz(files, stamp))


def _whole_text(text: LegalText, articles: tuple[Article, ...], stamp: datetime) -> list[ArchivedFile]:
    day = f"{stamp:%Y-%m-%d}"
    contents = {article.path: article_xml(article, text) for article in articles}
    for section in text.sections:
        path = f"section_ta/LEGI/SCTA/{folders_of(section.id)}/{section.id}.xml"
        contents[path] = section_xml(section, text, articles)
    contents[f"texte/struct/{text.id}.xml"] = structure_xml(text, articles, day)
    contents[f"texte/version/{text.id}.xml"] = version_xml(text, day)
    return [ArchivedFile(f"{text.folder}/{path}", data, stamp) for path, data in contents.items()]


def _suppression(text: LegalText, article: Article) -> str:
    """A line of the suppression list: the path without its suffix."""
    return f"{text.folder}/{article.path.removesuffix('.xml')}"


def _out_of_force(folder: str) -> str:
    return folder.replace("en_vigueur", "non_vigueur")


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("ascii")
