"""A GGUF model in this process, by llama.cpp; needs the extra ``llama`` (xllamacpp).

Importing this package does not load xllamacpp: making an engine or a server does.
"""

from actors.engines.llama.engine import LlamaEngine
from actors.engines.llama.host import LlamaServer, LlamaUnusable

__all__ = ["LlamaEngine", "LlamaServer", "LlamaUnusable"]
