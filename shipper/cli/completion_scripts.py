"""The scripts of `shipper completion`, one function per shell: tables in, text out. Nothing is evaluated in them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from shipper.cli.completion import Table

_BASH: Final = """\
# bash completion of shipper, made by: shipper completion bash
_shipper_offer() {
    local word
    while IFS= read -r word; do
        [[ "$word" == "$current"* ]] && COMPREPLY+=("$word")
    done
}
_shipper_asked() {
    shipper completion values "$1" -- "$current" 2>/dev/null </dev/null
}
_shipper() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" path="" word place
    COMPREPLY=()
    for ((place = 1; place < COMP_CWORD; place++)); do
        word="${COMP_WORDS[place]}"
        case "$path/$word" in
@paths@
        esac
    done
    case "$path:$previous" in
@values@
    esac
    case "$path" in
@words@
    esac
}
complete -F _shipper shipper
"""
_ZSH: Final = """\
#compdef shipper
# zsh completion of shipper, made by: shipper completion zsh
_shipper() {
    local current="$words[CURRENT]" previous="$words[CURRENT-1]" route="" word
    for word in "${(@)words[2,CURRENT-1]}"; do
        case "$route/$word" in
@paths@
        esac
    done
    case "$route:$previous" in
@values@
    esac
    case "$route" in
@words@
    esac
}
if [[ "$funcstack[1]" == "_shipper" ]]; then
    _shipper "$@"
else
    compdef _shipper shipper
fi
"""
_FISH: Final = """\
# fish completion of shipper, made by: shipper completion fish
function __shipper_at
    set -l route
    for word in (commandline -opc)[2..-1]
        if contains -- "$route/$word" @known@
            set route "$route/$word"
        end
    end
    test "$route" = "$argv[1]"
end
complete -c shipper -f"""


def bash(tables: Sequence[Table]) -> str:
    """Return the script of bash; words go through `read`, as `compgen -W` would run what stands in them."""
    return _filled(
        _BASH,
        tables,
        words=lambda words: f"_shipper_offer < <(printf '%s\\n' {words})",
        asked=lambda field: f"_shipper_offer < <(_shipper_asked {field})",
        file='mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames 2>/dev/null',
    )


def zsh(tables: Sequence[Table]) -> str:
    """Return the script of zsh."""
    return _filled(
        _ZSH,
        tables,
        words=lambda words: f"compadd -- {words}",
        asked=lambda field: (
            f'compadd -- ${{(f)"$(shipper completion values {field} -- "$current" 2>/dev/null </dev/null)"}}'
        ),
        file="_files",
    )


def _filled(
    text: str, tables: Sequence[Table], words: Callable[[str], str], asked: Callable[[str], str], file: str
) -> str:
    def value(kind: str) -> str:
        name, _, rest = kind.partition(" ")
        return {"words": words(rest), "asked": asked(rest), "file": file}.get(name, ":")

    def paths() -> Iterator[str]:
        for table in tables:
            if table.path:
                above, _, name = table.path.rpartition(" ")
                yield f"{_quoted(f'{above}/{name}')}) path={_quoted(table.path)} ;;"

    def values() -> Iterator[str]:
        for table in tables:
            for option, (_, kind) in table.options.items():
                if kind:
                    yield f"{_quoted(f'{table.path}:{option}')}) {value(kind)}; return ;;"

    def places() -> Iterator[str]:
        for table in tables:
            offered = [words(" ".join([*table.words, *table.options]))]
            if table.asked:
                offered.append(asked(table.asked))
            yield f"{_quoted(table.path)}) {'; '.join(offered)} ;;"

    route = "route" if "route=" in text else "path"
    for mark, lines in (("paths", paths()), ("values", values()), ("words", places())):
        indent = " " * (12 if mark == "paths" else 8)
        text = text.replace(f"@{mark}@", "\n".join(indent + line for line in lines).replace(") path=", f") {route}="))
    return text


def _quoted(text: str) -> str:
    """Return a text of ours in quotes for a `case`: it has no quote in it."""
    return f"'{text}'"


def fish(tables: Sequence[Table]) -> str:
    """Return the script of fish, which takes an option's value apart itself (`--order=new`)."""
    known = " ".join(_route(table.path) for table in tables if table.path)
    lines = [_FISH.replace("@known@", known)]
    abouts = {table.path: table.about for table in tables}
    for table in tables:
        here = f"complete -c shipper -n '__shipper_at {_route(table.path)}'"
        for word in table.words:
            about = abouts.get(f"{table.path} {word}".strip(), "")
            lines.append(f"{here} -a {word} -d {_fish_quoted(about)}")
        if table.asked:
            lines.append(f"{here} -a '{_fish_asked(table.asked)}'")
        for option, (about, kind) in table.options.items():
            lines.append(f"{here} {_fish_option(option, kind)} -d {_fish_quoted(about)}")
    return "\n".join(lines) + "\n"


def _route(path: str) -> str:
    """Return the commands before the cursor as the script of fish has them: "", /search, /generate/rsyslog."""
    return f"/{path.replace(' ', '/')}" if path else ""


def _fish_option(option: str, kind: str) -> str:
    name = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
    what, _, rest = kind.partition(" ")
    value = {"words": f" -x -a '{rest}'", "asked": f" -x -a '{_fish_asked(rest)}'", "file": " -r -F", "any": " -x"}
    return name + value.get(what, "")


def _fish_asked(field: str) -> str:
    return f"(shipper completion values {field} -- (commandline -ct) 2>/dev/null </dev/null)"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS: Final[dict[str, Callable[[Sequence[Table]], str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
