"""The data plane's door: which path means what, and every error in the caller's dialect."""
