"""Pictures that a text names."""

from __future__ import annotations

import pytest
from chat.fakes import ScriptedModel, Shelf, Terminal, partnered

from modelpack import limits
from modelpack.chat import interactive
from modelpack.chat.pictures import named_in, question
from modelpack.errors import InputError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, which is the home folder, too."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("a.png", "b.JPG", "a b (1).png", "it's.png", "c.png.jpeg", "d.webp", "e\\f.png"):
        (home / name).write_bytes(name.encode())
    (home / "folder.png").mkdir()
    (tmp_path / "up.png").write_bytes(b"up.png")
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.mark.parametrize(
    ("text", "rest", "names"),
    [
        ("./a.png", "", ["a.png"]),
        ("What is ./a.png?", "What is ?", ["a.png"]),
        ("See ./a.png.", "See .", ["a.png"]),
        ("(./a.png)", "()", ["a.png"]),
        ("~/a.png and ../up.png", "and", ["a.png", "up.png"]),
        ("./a.png ./b.JPG which?", "which?", ["a.png", "b.JPG"]),
        ("./a.png\n./b.JPG\nwhich?", "which?", ["a.png", "b.JPG"]),
        ("./a.png, again ./a.png", ", again", ["a.png"]),
        ("./a b (1).png", "", ["a b (1).png"]),
        ("./a\\ b\\ \\(1\\).png it", "it", ["a b (1).png"]),
        ("in './a b (1).png' now", "in  now", ["a b (1).png"]),
        ('in "./a b (1).png" now', "in  now", ["a b (1).png"]),
        ("'./it'\\''s.png'", "", ["it's.png"]),
        ("./it's.png", "", ["it's.png"]),
        ("./c.png.jpeg", "", ["c.png.jpeg"]),
        ("./e\\f.png", "", ["e\\f.png"]),
        ("/usr has ./a.png", "/usr has", ["a.png"]),
        ("./none.png or ./a.png", "./none.png or", ["a.png"]),
        ("./d.webp", "", ["d.webp"]),
    ],
)
def test_a_picture_that_is_there_is_taken_out_of_the_text(folder, text, rest, names):
    found = named_in(text)
    assert (found[0], [path.name for path in found[1]]) == (rest, names)


@pytest.mark.parametrize(
    "text",
    ["a.png", "x/a.png", " ./none.png ", "./folder.png", "./a.pngs", "http://h/a.png", "./a.png/x"],
)
def test_anything_else_stays_as_it_is(folder, text):
    assert named_in(text) == (text, [])


def test_absolute_paths_are_found(folder):
    assert named_in(f"see {folder}/a.png") == ("see", [folder / "a.png"])


def test_a_long_text_is_read_in_little_time():
    for text in ("/" * 200_000, " /a" * 70_000, "/a " + "b" * 200_000, "./a.png" * 30_000):
        assert named_in(text)[1] == []


def test_pictures_come_with_the_question_and_are_told_of(folder):
    told: list[str] = []
    asked = question("What is ./a.png", told.append, sees=True, images=[folder / "b.JPG"])
    assert (asked.content, asked.images) == ("What is", (b"b.JPG", b"a.png"))
    assert told == ["Added image 'a.png'"]


def test_a_model_that_sees_nothing_is_asked_the_text(folder):
    asked = question("What is ./a.png", lambda _: None, sees=False)
    assert (asked.content, asked.images) == ("What is ./a.png", ())


def test_a_picture_that_cannot_be_read_is_an_error(folder):
    with pytest.raises(InputError, match=r"cannot read .*none\.png"):
        question("Hi", lambda _: None, sees=True, images=[folder / "none.png"])


def test_of_a_huge_file_no_more_is_read_than_shows_that(folder):
    with (folder / "a.png").open("wb") as file:
        file.truncate(limits.IMAGE + 1000)
    (image,) = question("./a.png", lambda _: None, sees=True).images
    assert len(image) == limits.IMAGE + 1


def test_a_session_shows_pictures_to_a_model_that_sees(folder):
    terminal = Terminal("./a.png What is it?", "And now?", "/?")
    model = ScriptedModel()
    shelf = Shelf(partnered(model, sees=True))
    interactive(shelf, terminal.read, terminal.write)
    assert terminal.screen.startswith("Added image 'a.png'\nyes\n\n")
    assert model.asked[1] == ["user: What is it?", "assistant: yes", "user: And now?"]
    assert model.images == [[b"a.png"], [b"a.png"]]
    assert "to include .jpg or .png images" in terminal.screen
