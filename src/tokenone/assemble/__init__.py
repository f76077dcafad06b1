"""The composition root: wires the processes together. Nobody below imports it.

spec        what each process is told, and how it gets it
gateway     a gateway worker
console     the management process
jobs        the background process
install     `tokenone init`: roots, keys, databases, the first person
installation  all of them under one supervisor
"""
