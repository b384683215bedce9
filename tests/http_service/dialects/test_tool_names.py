"""Tools of the Responses API under flat names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from http_service.dialects.tool_names import MAX_NAME, Tool, ToolNames, chat_tools, tools_in

_names = st.text("abcZ9 ./é_-", min_size=1, max_size=80)


def test_a_name_that_is_alone_stays_as_it_is() -> None:
    names = ToolNames([Tool("spawn", "agents"), Tool("ls")])

    assert names.flat(Tool("spawn", "agents")) == "spawn"
    assert names.tool("spawn") == Tool("spawn", "agents")


def test_a_name_in_two_namespaces_bears_them() -> None:
    names = ToolNames([Tool("run"), Tool("run", "a"), Tool("run", "b")])

    assert [names.flat(Tool("run", each)) for each in ("", "a", "b")] == ["run", "a__run", "b__run"]


def test_a_name_that_nobody_gave_is_a_plain_function() -> None:
    assert ToolNames([]).tool("made_up") == Tool("made_up")


def test_namespaces_and_custom_tools_become_functions() -> None:
    listed = list(
        tools_in(
            [
                {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
                {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
                {"type": "custom", "name": "patch", "description": "applies a patch"},
                {"type": "web_search"},
            ]
        )
    )
    functions = [each["function"] for each in chat_tools(listed, ToolNames(t for t, _ in listed))]

    assert functions[0] == {"name": "f", "parameters": {"type": "object"}, "strict": True}
    assert functions[1] == {"name": "g"}
    assert functions[2]["description"] == "applies a patch"
    assert functions[2]["parameters"]["required"] == ["input"]


@given(st.lists(st.builds(Tool, _names, _names | st.just(""), st.booleans()), max_size=12))
def test_every_tool_has_a_name_of_its_own_that_servers_allow(tools: list[Tool]) -> None:
    names = ToolNames(tools)
    flat = {tool: names.flat(tool) for tool in tools}

    assert len(set(flat.values())) == len(flat)
    for tool, name in flat.items():
        assert names.tool(name) == tool
        assert len(name) <= MAX_NAME + 16
        assert name.replace("_", "").replace("-", "").isalnum() or not name.strip("_-")
        assert name.isascii()
