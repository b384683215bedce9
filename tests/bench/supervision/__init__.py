"""What the supervision library costs, beside a stock Pykka actor in the same run and process.

One file a promise; ``case`` says what a case is, ``rounds`` lets the cases take turns, ``table``
puts the figures beside the promises, ``command`` runs it all. Nothing is ever asserted.
"""
