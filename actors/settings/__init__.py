"""Every setting of the command line, once: default, unit, check and help. One file a command.

A setting is a field of the dataclass of its command. Its option, its environment variable and its
key in a file follow from its name: ``drain_timeout`` is ``--drain-timeout`` and
``CALLBOARD_DRAIN_TIMEOUT``. The option wins over the variable, the variable over the default.
``actors.cli.parsing`` turns these classes into parsers; nothing else reads the environment.

Short, and empty on purpose: a command imports its own settings only.
"""
