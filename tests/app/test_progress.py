"""Where a run stands: plain lines for logs, bars on a terminal, notes alone if quiet."""

import io

from rich.console import Console

from niwaki.app.progress import Live, Plain, Silent, shown


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=160, color_system=None)


def run(progress, steps=30, done=0):
    with progress:
        progress.begin("run", steps, done)
        for step in range(done + 1, steps + 1):
            facts = {"stage": "explore", "loss": f"{1 / step:.2f}"} if step % 2 else None
            progress.step(step, facts)
        progress.note("a [note] about x")


def test_plain_lines_come_at_every_tenth():
    out = console(terminal=False)
    run(Plain(out))
    lines = out.file.getvalue().splitlines()
    assert lines[0] == "run: 30 steps"
    assert lines[-1] == "a [note] about x"
    assert [line.split(",")[0] for line in lines[1:-1]] == [f"run: step {n} of 30" for n in range(3, 31, 3)]
    assert lines[1].startswith("run: step 3 of 30, stage explore, loss 0.33, ") and lines[1].endswith(" left")
    assert lines[2].startswith("run: step 6 of 30, stage explore, loss 0.20, ")  # the latest facts known


def test_plain_lines_say_where_a_run_goes_on():
    out = console(terminal=False)
    run(Plain(out), done=25)
    lines = out.file.getvalue().splitlines()
    assert lines[0] == "run: 30 steps, going on after 25"
    assert [line.split(",")[0] for line in lines[1:-1]] == ["run: step 27 of 30", "run: step 30 of 30"]


def test_a_terminal_shows_a_bar_with_the_facts():
    out = console(terminal=True)
    run(Live(out))
    text = out.file.getvalue()
    for part in ("run", "30/30", "stage", "explore", "loss", "0.03", "a [note] about x"):
        assert part in text


def test_what_is_shown_suits_the_place(monkeypatch):
    assert isinstance(shown(quiet=True), Silent)
    assert isinstance(shown(quiet=False), Plain)
    monkeypatch.setattr(Console, "is_terminal", True)
    assert isinstance(shown(quiet=False), Live)
    assert isinstance(shown(quiet=True), Silent)


def test_quiet_hides_progress_and_not_what_must_be_heard(capfd):
    run(shown(quiet=True))
    assert capfd.readouterr() == ("", "a [note] about x\n")


def test_silence_is_complete(capfd):
    run(Silent())
    assert capfd.readouterr() == ("", "")
