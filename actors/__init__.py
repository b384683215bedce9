"""Supervised actors for any Python program; the model-serving front-end is built on them.

``import actors`` brings in Pykka and nothing else. The public names are ``actors.supervision``'s;
they are listed there.
"""

from actors.supervision import *  # noqa: F403  # its __all__ is the one list of public names
from actors.supervision import __all__ as __all__
