"""Benchmarks: what DESIGN promises about speed and size, measured; run by `make bench`.

Law: all load stays on the loopback interface, is bounded in count and time, and every process that was
started is ended by its id. `subject.py` alone knows how the gateway is started.
"""
