"""A running stand-in and a client that shares nothing with it."""

import http.client
import json

import pytest

from tokenone.testing.standin import Manner, StandIn, ThreadedListener

KEYS = {"openai": ["sk-openai-one"], "anthropic": ["sk-ant-one"]}
OPENAI = {"authorization": "Bearer sk-openai-one", "content-type": "application/json"}
ANTHROPIC = {"x-api-key": "sk-ant-one", "anthropic-version": "2023-06-01", "content-type": "application/json"}


class Talker:
    """Sends requests with the standard library's client, one connection each."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.standin = upstream.standin

    def ask(self, path, body=None, headers=OPENAI, *, timeout=10, method=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream.port, timeout=timeout)
        try:
            payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method or ("GET" if body is None else "POST"), path, payload, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def json(self, path, body=None, headers=OPENAI):
        status, _, answer = self.ask(path, body, headers)
        assert status == 200, answer
        return json.loads(answer)

    def events(self, path, body, headers=OPENAI):
        status, _, answer = self.ask(path, body, headers)
        assert status == 200, answer
        return [line[6:] for line in answer.decode().split("\n") if line.startswith("data: ")]


@pytest.fixture
def talker():
    with ThreadedListener(StandIn(KEYS, Manner(control=True))) as upstream:
        yield Talker(upstream)
