"""The wire: HTTP/1.1 both ways, the only place with sockets. See docs/spec/wire.md."""
