"""``completion``: completes commands, options and the service's own names in a shell.

The printed script runs ``callboard completion words SHELL WORD…`` at each Tab, with the words so
far, the last of which is to be completed. A service that does not answer completes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from actors.cli.client import ADMIN, MODELS, Client, Unreachable, first_key
from actors.cli.commands import COMMANDS, Command
from actors.cli.parsing import UsageError, parse_settings, resolve
from actors.cli.signals import OK
from actors.settings.local import CompletionSettings
from actors.settings.setting import Setting, named_settings

__all__ = ["DESCRIPTION", "candidates", "run"]

DESCRIPTION: Final = """
Print a script that completes commands, options, and the names of models and instances, which it
asks the service for. To have it in each new shell:

  bash:  echo 'source <(callboard completion bash)' >> ~/.bashrc
  zsh:   echo 'source <(callboard completion zsh)' >> ~/.zshrc
  fish:  callboard completion fish > ~/.config/fish/completions/callboard.fish
"""

WORDS: Final = "words"
"""The first argument of the form that the scripts run."""

TIMEOUT: Final = 1.0
"""Seconds that a Tab may wait for the service."""

_SCRIPTS: Final = {
    "bash": """\
_callboard() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <("${COMP_WORDS[0]}" completion words bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _callboard callboard""",
    "zsh": """\
_callboard() {
    local -a found
    found=("${(@f)$("${words[1]}" completion words zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -- "${found[@]}"; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _callboard callboard""",
    "fish": """\
function __callboard_words
    set -l before (commandline -opc)
    $before[1] completion words fish $before[2..] (commandline -ct) 2>/dev/null
end
complete -c callboard -a '(__callboard_words)'""",
}

_SAFE: Final = re.compile(r"[\w./:@%+=,#-]+")
"""SECURITY: a shell takes these as they are. A model may have any name; others are left out."""

Ask: TypeAlias = Callable[[str, str, Mapping[str, Any]], Iterable[str]]
"""Names of the service: ``model`` or ``instance``, the word so far, and the settings' values."""


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Print the script, or the candidates for words. Raises ``UsageError``."""
    if arguments[:1] == [WORDS]:
        shell, words = arguments[1], arguments[2:]
        for each in completed(shell, words, environment):
            print(each)
        return OK
    settings = parse_settings(CompletionSettings, "completion", DESCRIPTION, arguments, environment)
    print(_SCRIPTS[settings.shell])
    return OK


def completed(shell: str, words: Sequence[str], environment: Mapping[str, str]) -> Iterable[str]:
    """The candidates as ``shell`` wants them: bash takes a colon for the end of a word."""
    joined = _joined(words) if shell == "bash" else words
    found = candidates(joined, environment, _asked)
    prefix = joined[-1].rpartition(":") if shell == "bash" and joined else ("", "", "")
    return [each.removeprefix(prefix[0] + prefix[1]) for each in found]


def _joined(words: Sequence[str]) -> list[str]:
    """The words as the user typed them, before bash split them at their colons; pure."""
    found: list[str] = []
    glue = False
    for word in words:
        if found and (glue or word == ":"):
            found[-1] += word
        else:
            found.append(word)
        glue = word == ":"
    return found


def candidates(words: Sequence[str], environment: Mapping[str, str], ask: Ask) -> Iterable[str]:
    """What the last of ``words`` may become; nothing where the shell should offer files."""
    *before, word = words or [""]
    if not before and not word.startswith("-"):
        return _beginning(word, COMMANDS)
    first = before[0] if before else word
    if not first.startswith("-") and first not in COMMANDS:
        return []
    command = COMMANDS["serve" if first.startswith("-") else first]
    options = {name: each for name, _, each in named_settings(command.settings_class())}
    flags = {_flag(name): each for name, each in options.items() if not each.argument}
    flags |= {each.short: each for each in options.values() if each.short}
    valued = flags.get(before[-1]) if before else None
    if valued is not None and not valued.flag:
        return _beginning(word, _choices(valued))
    if word.startswith("-"):
        return _beginning(word, ["--help", *flags])
    return _argument(command, options, before, word, environment, ask)


def _argument(
    command: Command,
    options: Mapping[str, Setting],
    before: Sequence[str],
    word: str,
    environment: Mapping[str, str],
    ask: Ask,
) -> Iterable[str]:
    """What the argument of ``command`` may be."""
    argument = next((each for each in options.values() if each.argument), None)
    if argument is None:
        return []
    if not argument.names:
        return _beginning(word, _choices(argument))
    given = {
        name: [before[at + 1]]
        for name in options
        for at, each in enumerate(before[:-1])
        if each == _flag(name)
    }
    settings = command.settings_class()
    values = resolve(settings, command.name, {**given}, environment).values
    return _beginning(word, ask(argument.names, word, values))


def _beginning(word: str, found: Iterable[str]) -> list[str]:
    return [each for each in found if each.startswith(word) and _SAFE.fullmatch(each)]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _choices(setting: Setting) -> list[str]:
    """The words among which an option chooses, as its metavar lists them."""
    return [
        each for each in re.split(r"[|,]", setting.metavar) if re.fullmatch(r"[a-z0-9-]+", each)
    ]


def _asked(names: str, word: str, values: Mapping[str, Any]) -> list[str]:
    """The names that the service knows; none if it does not answer in time."""
    try:
        if "admin_url" in values:
            key = first_key(values["admin_key_file"], "--admin-key-file")
            with Client(ADMIN, values["admin_url"], key, TIMEOUT) as client:
                return _of_admin(client, names, word)
        key = first_key(values["api_key_file"], "--api-key-file")
        with Client(MODELS, values["url"], key, TIMEOUT) as client:
            return [str(each["id"]) for each in client.get("/models")["data"]]
    except (Unreachable, UsageError, LookupError, TypeError):
        return []


def _of_admin(client: Client, names: str, word: str) -> list[str]:
    model, separator, _ = word.partition("#")
    if names == "instance" and separator:
        answer = client.get(f"/admin/v1/models/{quote(model, safe='')}")
        return [*dict.fromkeys(f"{model}#{each['id']}" for each in answer["instances"])]
    models = dict.fromkeys(each["id"] for each in client.get("/admin/v1/models")["models"])
    if names == "model":
        return [*models]
    # Each twice: so the shell adds no blank to the only one, and an instance can follow.
    return [each for name in models for each in (name, f"{name}#")]
