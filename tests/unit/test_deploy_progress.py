"""How far a deploy is, on a terminal and elsewhere."""

from io import StringIO

from shipper.deploy.progress import Progress


def test_a_terminal_has_one_line_that_is_written_over() -> None:
    stream, now = StringIO(), iter([0.0, 0.0, 1.0, 12.4])
    progress = Progress(stream, columns=60, clock=lambda: next(now))
    progress.update("/a", "1 of 2 running")
    progress.update("/a", "1 of 2 running")
    progress.update("/a", "\x1b[2Jx" * 20)
    progress.say("done")
    first, second, third, last = stream.getvalue().split("\r\x1b[K")[1:]
    assert first.split(maxsplit=4) == ["…", "/a", "0", "s", "1 of 2 running"]
    assert second.split(maxsplit=4) == ["…", "/a", "1", "s", "1 of 2 running"]
    assert "\x1b" not in third
    assert len(third) <= 59
    assert last == "done\n"


def test_elsewhere_only_news_are_said() -> None:
    stream = StringIO()
    progress = Progress(stream, columns=None)
    for text in ("1 of 2 running", "1 of 2 running", "2 of 2\nrunning"):
        progress.update("/a", text)
    progress.clear()
    lines = stream.getvalue().splitlines()
    assert [line.split(maxsplit=2) for line in lines] == [
        ["…", "/a", "1 of 2 running"],
        ["…", "/a", "2 of 2\\nrunning"],
    ]
