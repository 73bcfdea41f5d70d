"""Bytes become the right text, and the same bytes again."""

from __future__ import annotations

import codecs
import gzip
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootcellar import errors
from rootcellar.text import kinds
from rootcellar.text.decode import Newline, Newlines, count_newlines, decode, encode, presentable, sniff

ENGLISH = "Plain words, nothing else.\n"
SAMPLES = [
    ("utf-8", "UTF-8", ENGLISH),
    ("utf-8", "UTF-8", "größer 中文 𝄞 emoji 🍍\n"),
    ("utf-8-sig", "UTF-8", "größer\r\n"),
    ("utf-16", "UTF-16LE", "größer 中文 𝄞\r\n"),
    ("utf-32", "UTF-32LE", "größer 中文 𝄞\r\n"),
    ("utf-16-le", "UTF-16LE", "no mark here\r\nsecond = 2\r\n"),
    ("utf-16-be", "UTF-16BE", "no mark here\r\nsecond = 2\r\n"),
    ("gbk", "GB18030 (GBK)", "中文"),
    ("gbk", "GB18030 (GBK)", "# 配置文件\nname = 测试\n价格: 100元\n"),
    ("gbk", "GB18030 (GBK)", "这是一个用于测试的文本文件，包含简体中文的内容。我们希望能够正确地检测它的编码。\n"),
    ("gb18030", "GB18030 (GBK)", "包含罕见字𠮷的简体中文文本，我们希望能够正确地检测。\n"),
    ("shift_jis", "Shift_JIS", "日本語"),
    ("shift_jis", "Shift_JIS", "# 設定ファイル\nname = テスト\n"),
    ("euc_jp", "EUC-JP", "これは日本語のテキストファイルです。文字コードの判定をテストします。\n"),
    ("big5", "Big5", "這是一個用於測試的文字檔案，內容為繁體中文。我們希望能夠正確偵測編碼。\n"),
    ("euc_kr", "EUC-KR (CP949)", "이것은 한국어 텍스트 파일입니다. 인코딩 감지를 시험합니다.\n"),
    ("cp1252", "Windows-1252", "It’s a “quote” – dash, 5 €"),
    ("cp1252", "Windows-1252", "Der Überblick über die Lösung – größere Änderungen für schöne Häuser.\n"),
    ("latin-1", "ISO-8859-1", "café\n"),
    ("latin-1", "ISO-8859-1", "int x; // déjà vu\n" * 30),
    ("latin-1", "ISO-8859-1", "El niño comió piña mañana\n"),
    ("cp1251", "Windows-1251", "привет"),
    ("cp1251", "Windows-1251", "Привет, мир! Это тестовый файл.\n"),
    ("cp1251", "Windows-1251", "# Настройки\nname=тест\n"),
    ("koi8_r", "KOI8-R", "Это русский текст в кодировке кои. Мы хотим его правильно определить.\n"),
    ("cp1250", "Windows-1250", "Příliš žluťoučký kůň úpěl ďábelské ódy.\n"),
    ("cp1250", "Windows-1250", "Zażółć gęślą jaźń\n"),
    ("cp1253", "Windows-1253", "Αυτό είναι ένα ελληνικό κείμενο για δοκιμή.\n"),
    ("cp1255", "Windows-1255", "שלום עולם זה קובץ טקסט בעברית\n" * 3),
]


@pytest.mark.parametrize(("codec", "label", "text"), SAMPLES, ids=[f"{n}-{row[0]}" for n, row in enumerate(SAMPLES)])
def test_the_encoding_is_named_and_the_text_is_right(codec: str, label: str, text: str) -> None:
    data = text.encode(codec)
    found = decode(data)
    assert (found.encoding.label, found.text, found.exact) == (label, text, True)
    assert encode(found.text, found.encoding) == data
    assert found.encoding.guessed is (not codec.startswith("utf"))


@given(st.binary(max_size=200))
@settings(max_examples=1_000)
def test_any_bytes_are_refused_or_become_the_same_bytes_again(data: bytes) -> None:
    try:
        found = decode(data)
    except errors.NotText:
        return
    if found.exact:
        assert encode(found.text, found.encoding) == data
    presentable(found.text).encode("utf-8")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=80),
       st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))  # fmt: skip
@settings(max_examples=500)
def test_unicode_text_is_never_taken_for_anything_else(text: str, codec: str) -> None:
    found = decode(text.encode(codec))
    assert found.text == text.removeprefix("\ufeff" if codec == "utf-8" else "")
    assert found.exact


@given(st.binary(max_size=100), st.integers(1, 40))
@settings(max_examples=300)
def test_the_same_bytes_always_give_the_same_answer(data: bytes, times: int) -> None:
    def answer() -> str:
        try:
            return sniff(data * times, whole=True).label
        except errors.NotText as refusal:
            return str(refusal)

    assert answer() == answer()


@pytest.mark.parametrize("cut", range(1, 12))
@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "gbk", "shift_jis"])
def test_a_sample_cut_inside_a_character_is_no_evidence_against_its_encoding(codec: str, cut: int) -> None:
    text = "# 設定" * 50 if codec == "shift_jis" else "配置文件测试" * 50
    whole = text.encode(codec)
    assert sniff(whole[:-cut], whole=False).codec == sniff(whole, whole=True).codec


def test_a_few_stray_bytes_in_utf8_are_kept() -> None:
    data = "größer, schöner\n".encode() + b"M\xfcller\n"
    found = decode(data)
    assert found.encoding.stray
    assert presentable(found.text) == "größer, schöner\nM\ufffdller\n"
    assert encode(found.text, found.encoding) == data


def test_stray_bytes_after_the_sample_are_found_too() -> None:
    data = "é".encode() * 100_000 + b"\xff"
    found = decode(data)
    assert found.encoding.stray
    assert encode(found.text, found.encoding) == data


def database(path: Path) -> bytes:
    with sqlite3.connect(path) as connection:
        connection.execute("create table a (b)")
    connection.close()
    return path.read_bytes()


BINARY = [
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image", "read_file"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG image", "read_file"),
    (b"GIF89a\1\0\1\0\x80\0\0", "a GIF image", "read_file"),
    (b"RIFF\x10\0\0\0WEBPVP8 ", "a WEBP image", "read_file"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document", "get_file_info"),
    (b"PK\3\4\x14\0\0\0", "a ZIP archive", "get_file_info"),
    (gzip.compress(b"x" * 100), "gzip-compressed data", "get_file_info"),
    (b"\x7fELF\2\1\1\0\0\0", "an ELF program", "get_file_info"),
    (b"ID3\4\0\0\0\0\0\0TIT2", "an MPEG audio file", "read_file"),
    (b"\xff\xfb\x90\x00" + bytes(range(256)) * 4, "an MPEG audio file", "read_file"),
    (b"RIFF\x24\0\0\0WAVEfmt \x10\0", "a WAV audio file", "read_file"),
    (b"OggS\0\2\0\0\0\0", "an OGG audio file", "read_file"),
    (b"fLaC\0\0\0\x22", "a FLAC audio file", "read_file"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0", "an MP4 video", "get_file_info"),
    (bytes(range(1, 256)) * 20, "binary data", "get_file_info"),
    (b"abc\0def" * 20, "binary data", "get_file_info"),
    (b"\0" * 100, "binary data", "get_file_info"),
    (b"\1\2\3\4\5\6 few letters", "binary data", "get_file_info"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "called", "hint"), BINARY, ids=[row[1] for row in BINARY])
def test_what_is_no_text_is_named_with_the_way_on(data: bytes, called: str, hint: str) -> None:
    with pytest.raises(errors.NotText) as refused:
        decode(data)
    assert refused.value.message == f"not text but {called}"
    assert hint in refused.value.hint


def test_a_database_is_named_with_the_way_on(tmp_path: Path) -> None:
    with pytest.raises(errors.NotText, match=r"a SQLite database.*database tools"):
        decode(database(tmp_path / "x.db"))


@pytest.mark.parametrize("text", ["BM is two letters", "MZ", "ID3 tags explained", "BZh", "FORM 27", "GIF89a is one"])
def test_text_that_begins_like_a_signature_is_text(text: str) -> None:
    assert decode(text.encode()).text == text


def test_a_log_with_colours_and_progress_bars_is_text() -> None:
    data = b"\x1b[31merror\x1b[0m 10%\r20%\r30%\x08\x08done\n\x0c"
    assert decode(data).text.encode() == data


@pytest.mark.parametrize(
    ("text", "expected", "style", "usual"),
    [
        ("", Newlines(), Newline.NONE, "\n"),
        ("a\nb", Newlines(1), Newline.LF, "\n"),
        ("a\r\nb\r\n", Newlines(0, 2), Newline.CRLF, "\r\n"),
        ("a\rb", Newlines(0, 0, 1), Newline.CR, "\r"),
        ("a\r\nb\nc\r\n", Newlines(1, 2), Newline.MIXED, "\r\n"),
        ("10%\r20%\n", Newlines(1, 0, 1), Newline.LF, "\n"),
    ],
)
def test_line_endings_are_counted_and_named(text: str, expected: Newlines, style: Newline, usual: str) -> None:
    found = count_newlines(text)
    assert (found, found.style, found.usual) == (expected, style, usual)


def test_a_character_the_encoding_has_not_is_named() -> None:
    with pytest.raises(errors.BadArgument, match="ISO-8859-1, which has no character `🍍"):
        encode("🍍", decode("café\n".encode("latin-1")).encoding)


def test_every_mark_is_kept() -> None:
    marks = {"utf-8": codecs.BOM_UTF8, "utf-16-be": codecs.BOM_UTF16_BE, "utf-32-be": codecs.BOM_UTF32_BE}
    for codec, bom in marks.items():
        data = bom + "a\n".encode(codec)
        found = decode(data)
        assert found.text == "a\n"
        assert encode(found.text, found.encoding) == data


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"import os\n", "a.py", "text/x-python"),
        (b"a,b\n", "a.CSV", "text/csv"),
        (b"words", "README", "text/plain"),
        (b"\0\1", "x", "application/octet-stream"),
        (b"PK\3\4", "a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"PK\3\4", "a", "application/zip"),
        (b"\x89PNG\r\n\x1a\n", "lies.txt", "image/png"),
        (b"\x1a\x45\xdf\xa3", "a.webm", "video/webm"),
        (b"<svg/>", "a.svg", "image/svg+xml"),
    ],
)
def test_media_types_come_from_the_bytes_then_from_the_name(head: bytes, name: str, kind: str) -> None:
    assert kinds.guess(head, name) == kind
