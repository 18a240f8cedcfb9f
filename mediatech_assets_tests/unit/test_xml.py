"""What belongs here: what the XML reader accepts and refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.documents.xml import UnreadableXml, parse_xml

BOMB = b'<!DOCTYPE a [<!ENTITY a "xx">' + b"".join(
    f'<!ENTITY {after} "{f"&{before};" * 50}">'.encode()
    for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"pas du XML",
        b"<a><b></a>",
        b"<a>&nbsp;</a>",
        b'<?xml version="1.0" encoding="inconnu"?><a/>',
        '<?xml version="1.0" encoding="UTF-8"?><a>é</a>'.encode("latin-1"),
        b"<a>" * 5000 + b"</a>" * 5000,
        b'<!DOCTYPE a [<!ENTITY e "x">]><a>texte</a>',
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a>&e;</a>',
        b'<!DOCTYPE a [<!ENTITY % e SYSTEM "http://127.0.0.1:9/x"> %e;]><a/>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a>&e;</a>',
        BOMB + b"]><a>&h;</a>",
        BOMB + b']><a b="&h;"/>',
    ],
)
def test_refused_with_a_reason_on_one_line(data):
    with pytest.raises(UnreadableXml) as refusal:
        parse_xml(data)

    assert str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16"])
def test_declared_encodings_are_read(encoding):
    assert parse_xml(f'<?xml version="1.0" encoding="{encoding}"?><a>é</a>'.encode(encoding)).text == "é"


def test_comments_and_instructions_do_not_cut_the_text():
    assert parse_xml(b"<a>un<!-- c -->deux<?p i?>trois</a>").text == "undeuxtrois"


@given(st.binary(max_size=200))
def test_any_bytes_give_a_tree_or_a_refusal(data):
    try:
        root = parse_xml(data)
    except UnreadableXml:
        return
    assert isinstance(root.tag, str)
