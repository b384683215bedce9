"""The APIs of other families, translated to and from chat completions. Pure: no I/O, no threads."""
