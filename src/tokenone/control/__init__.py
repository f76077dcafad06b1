"""The control socket: how the console and the tools ask a gateway; peers are checked by user id.

wire format   one JSON object per line, request then reply, over a Unix socket
server        runs in each gateway worker
client        used by the console, the jobs and the command line
ops           what can be asked
"""
