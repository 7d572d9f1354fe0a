import codecs
import time

import pytest

from modelpack.errors import ModelfileError
from modelpack.modelfile import decode, parse


def _system(written):
    return parse(f"FROM a\nSYSTEM {written}").system


def _refused(text):
    with pytest.raises(ModelfileError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("plain", "plain"),
        (" \t  inner  blanks  stay \t ", "inner  blanks  stay"),
        ("a # is not a comment", "a # is not a comment"),
        ("'single'", "'single'"),
        ('a "quoted" word', 'a "quoted" word'),
        ("no \\n escapes", "no \\n escapes"),
        ('"  kept  "  ', "  kept  "),
        ('"say "hi" twice"', 'say "hi" twice'),
        ('"two\nlines"', "two\nlines"),
        ('"first"\nSYSTEM second', "second"),
        ('"""a "" b """ c\nd"""', 'a "" b """ c\nd'),
        ('"""\nlines\n"""  \n', "\nlines\n"),
        ('""""""', ""),
        ('"""""x"""', '""x'),
        ('"""one""\n"two"""', 'one""\n"two'),
    ],
)
def test_values_end_where_ollama_ends_them(written, value):
    assert _system(written) == value


def test_a_line_that_ends_with_the_quote_closes_it_and_the_rest_is_an_instruction():
    error = _refused('FROM a\nSYSTEM "closed "\nyet more"')
    assert "unknown instruction 'yet'" in str(error)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_ends_a_line_once(newline):
    text = newline.join(("# c", "FROM a", "SYSTEM b ", 'TEMPLATE "c"', "", "NOPE x"))
    assert _refused(text).line == 6
    modelfile = parse(text.replace("NOPE", "DOC"))
    assert (modelfile.system, modelfile.template, modelfile.docs) == ("b", "c", ("x",))


def test_line_ends_inside_quotes_are_kept():
    assert _system('"""a\r\nb"""\r\n') == "a\r\nb"


@pytest.mark.parametrize(
    ("text", "line", "column", "mark"),
    [
        ('FROM a\nSYSTEM "abc\nmore\n', 2, 8, '"'),
        ('FROM a\n SYSTEM  """abc""\n\n', 2, 10, '"""'),
        ('FROM a\nSYSTEM "abc" # no comment here\n', 2, 8, '"'),
        ('FROM a\nLABEL a=b c="d', 2, 13, '"'),
        ('FROM a\nSYSTEM "', 2, 8, '"'),
        ('FROM a\nSYSTEM """""', 2, 8, '"""'),
    ],
)
def test_an_open_quote_is_reported_where_it_begins(text, line, column, mark):
    error = _refused(text)
    assert (
        str(error) == f"line {line}, column {column}: the {mark} that begins here is never closed"
    )


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("a=1 b=2\tc=3", {"a": "1", "b": "2", "c": "3"}),
        ("url=http://x/?q=1", {"url": "http://x/?q=1"}),
        ("empty=", {"empty": ""}),
        ('a="" b="x y"', {"a": "", "b": "x y"}),
        (r'a="say \"hi\" \\ C:\new"', {"a": r'say "hi" \ C:\new'}),
        (r"bare=C:\new", {"bare": r"C:\new"}),
        ('"two words"=x', {"two words": "x"}),
        ('a="two\nlines" b=c', {"a": "two\nlines", "b": "c"}),
    ],
)
def test_labels_are_pairs(written, labels):
    assert parse(f"FROM a\nLABEL {written}").labels == labels


@pytest.mark.parametrize("written", ["a", "a b", "=b", "a=b # no", '"a" b', 'a="b"c', "a =b"])
def test_labels_that_are_not_pairs_are_refused(written):
    assert _refused(f"FROM a\nLABEL {written}").line == 2


def test_the_line_after_a_label_over_several_lines_is_counted_right():
    assert _refused('FROM a\nLABEL a="1\n2\r\n3" b=c\nNOPE').line == 5


@pytest.mark.parametrize(
    "data",
    [
        "FROM é".encode(),
        codecs.BOM_UTF8 + "FROM é".encode(),
        codecs.BOM_UTF16_LE + "FROM é".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "FROM é".encode("utf-16-be"),
    ],
)
def test_decode_knows_utf_8_and_utf_16(data):
    assert decode(data) == "FROM é"
    assert parse(data).bases == ("é",)
    assert parse(data).warnings == ()


def test_a_byte_order_mark_in_text_is_no_cause_for_a_warning():
    assert parse("\ufeffFROM a").warnings == ()


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"FROM a\nSYSTEM caf\xe9", (2, 11)),
        (codecs.BOM_UTF16_LE + "FROM a".encode("utf-16-le") + b"\x00", (1, 7)),
    ],
)
def test_decode_refuses_other_encodings_where_they_show(data, place):
    error = _refused(data)
    assert (error.line, error.column) == place
    assert error.hint == "save the file as UTF-8"


def test_characters_that_cannot_be_seen_are_dropped_with_a_warning():
    modelfile = parse('FROM a\ufeffb\x00\nSYSTEM "c\tde\x1b"\ue000')
    assert (modelfile.bases, modelfile.system) == (("ab",), "c\tde")
    (warning,) = modelfile.warnings
    assert warning.endswith("were dropped: U+0000, U+001B, U+E000, U+FEFF")


def test_joined_emoji_and_wide_spaces_are_text():
    text = "family \U0001f468\u200d\U0001f469\u200d\U0001f467\u3000and\u00a0more"
    modelfile = parse(f"FROM a\nSYSTEM {text}")
    assert (modelfile.system, modelfile.warnings) == (text, ())


@pytest.mark.parametrize(
    "text", ['"' + "\n" * 300_000, '"""' + ' "\n' * 100_000, "\n \n" * 100_000]
)
def test_lexing_takes_time_in_proportion_to_the_text(text):
    started = time.process_time()
    with pytest.raises(ModelfileError):
        parse("SYSTEM " + text)
    assert time.process_time() - started < 5
