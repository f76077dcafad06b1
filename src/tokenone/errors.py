"""The tree of everything that can go wrong, split by whose fault it is.

    TokenOneError
    ├── CallerError      the request itself: fix it and send it again
    ├── DeniedError      identified or not, the scope does not allow it
    ├── ProviderError    the upstream refused, broke off or stayed silent
    ├── IntegrityError   something does not verify; nothing was used
    └── OperatorError    roots, disk, database, configuration

Law: each class has a stable `code`, a `status` hint for HTTP and `advice` for a human. No message contains
a secret, a prompt or a header's value. Foreign errors are converted where they enter.
"""

from __future__ import annotations

from typing import ClassVar


class TokenOneError(Exception):
    """The parent of every error this project raises; `detail` completes the class's sentence."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    advice: ClassVar[str] = "Report this with the call id."

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(detail or self.advice)
        self.detail = detail or self.advice
        self.retry_after = retry_after

    @property
    def sentence(self) -> str:
        """What happened, then what to do; said once where they are the same."""
        return self.advice if self.detail == self.advice else f"{self.detail.rstrip('.')}. {self.advice}"


# ── the caller's request ───────────────────────────────────────────────────────────────────────────────
class CallerError(TokenOneError):
    code, status, advice = "bad_request", 400, "Correct the request and send it again."


class MalformedBody(CallerError):
    code, advice = "malformed_body", "Send one JSON object."


class BodyTooDeep(CallerError):
    code, advice = "body_too_deep", "Nest fewer levels of JSON."


class BodyTooLarge(CallerError):
    code, status, advice = "body_too_large", 413, "Send a smaller body."


class UnsupportedParameter(CallerError):
    """The provider cannot do what a parameter asks; the detail names the parameters."""

    code, advice = (
        "unsupported_parameter",
        "Leave it out, or send x-tokenone-drop-unsupported: true to have it left out.",
    )


class ModelMissing(CallerError):
    code, advice = "model_missing", "Name a model in the body."


class ModelUnknown(CallerError):
    code, status, advice = (
        "model_not_found",
        404,
        "List the models at /v1/models; others may be known at the provider's own path, such as /openai/v1.",
    )


class UnknownPath(CallerError):
    code, status, advice = (
        "unknown_path",
        404,
        "Served are the providers' own paths below /openai, /anthropic, /azure, /bedrock, /google, /vertex, "
        "/openrouter, /cohere and /custom/{endpoint}, and OpenAI's inference paths below /v1.",
    )


class MethodNotAllowed(CallerError):
    code, status, advice = "method_not_allowed", 405, "Use the method that the provider documents."


class UpgradeRefused(CallerError):
    code, status, advice = "websocket_not_supported", 426, "Use HTTP requests and server-sent events."


class NotFound(CallerError):
    code, status, advice = "not_found", 404, "Check the id."


class Conflict(CallerError):
    code, status, advice = "conflict", 409, "Fetch the current state and try again."


class PreconditionFailed(Conflict):
    code, status, advice = "precondition_failed", 412, "Fetch the row again; it has changed since."


class InvalidRequest(CallerError):
    """Fields that are missing, surplus or of the wrong form; it names them and never quotes them."""

    code, status, advice = "invalid_request", 422, "Correct the named fields and send it again."


class EndpointRefused(CallerError):
    code, status, advice = (
        "endpoint_refused",
        422,
        "Use https, or have the operator allow-list that very origin.",
    )


class IdempotencyMismatch(CallerError):
    code, status, advice = "idempotency_mismatch", 422, "Use a new Idempotency-Key for another request."


class IdempotencyInProgress(Conflict):
    code, advice = "idempotency_in_progress", "The first request with this key is still running; try again."


class BadSecret(CallerError):
    code, status, advice = "bad_secret", 422, "Paste the provider's key again; it does not look like one."


class BadToken(CallerError):
    """A caller token or sealed blob that is not of the documented form."""

    code, status, advice = "malformed_token", 401, "Send the token as it was shown: to_live_…"


class CredentialsDiffer(CallerError):
    code, advice = "credentials_differ", "Send one caller token; two different credentials came in."


# ── denied ─────────────────────────────────────────────────────────────────────────────────────────────
class DeniedError(TokenOneError):
    code, status, advice = "denied", 403, "Ask whoever runs your gateway."


class Unidentified(DeniedError):
    """The one constant answer while a token's digest does not match."""

    code, status, advice = "invalid_token", 401, "Send a valid caller token."


class TokenExpired(DeniedError):
    code, status, advice = "token_expired", 401, "Ask for a new caller token."


class TokenRevoked(DeniedError):
    code, status, advice = "token_revoked", 401, "Ask for a new caller token."


class AddressRefused(DeniedError):
    code, status, advice = "address_not_allowed", 403, "This token is bound to other source addresses."


class ScopeClosed(DeniedError):
    code, status, advice = "scope_closed", 403, "The tenant, project or workload is closed."


class ModelDenied(DeniedError):
    code, status, advice = "model_not_allowed", 403, "Use a model that your scope allows; see /v1/models."


class ProviderDenied(DeniedError):
    code, status, advice = "provider_not_allowed", 403, "Use a provider that your scope allows."


class PathDenied(DeniedError):
    code, status, advice = (
        "path_not_allowed",
        403,
        "Administrative and unknown provider paths are never forwarded.",
    )


class GrantMissing(DeniedError):
    code, status, advice = "grant_missing", 403, "The token lacks the grant for this class of paths."


class NoKeyInScope(DeniedError):
    code, status, advice = (
        "no_key_in_scope",
        403,
        "Assign a provider key to this workload, project or tenant.",
    )


class KeyUnusable(DeniedError):
    code, status, advice = "key_not_usable", 403, "Every key in scope is suspended, retired or compromised."


class KeyCompromised(DeniedError):
    """The key was marked compromised while a call used it."""

    code, status, advice = "key_compromised", 403, "The key was taken out of use; ask whoever manages it."


class ContentBlocked(DeniedError):
    code, status, advice = "content_blocked", 400, "A detector found content that the tenant blocks."


class RateLimited(DeniedError):
    code, status, advice = "rate_limited", 429, "Slow down; see Retry-After."


class SignInRefused(DeniedError):
    code, status, advice = "sign_in_refused", 401, "Check name and password."


class NotSignedIn(DeniedError):
    code, status, advice = "not_signed_in", 401, "Sign in at POST /api/v1/session."


class SessionExpired(DeniedError):
    code, status, advice = "session_expired", 401, "Refresh the session or sign in again."


class RoleMissing(DeniedError):
    code, status, advice = "role_missing", 403, "Ask an owner to do it, or to give you the role."


class PlaintextIntakeOff(DeniedError):
    code, status, advice = (
        "plaintext_intake_off",
        403,
        "Seal the secret first: `tokenone key add` or tokenone.seal() do it in one step.",
    )


class Throttled(DeniedError):
    code, status, advice = "throttled", 429, "Too many attempts; see Retry-After."


# ── the provider ───────────────────────────────────────────────────────────────────────────────────────
class ProviderError(TokenOneError):
    code, status, advice = "upstream", 502, "The provider failed; try again."


class DialFailed(ProviderError):
    """Nothing was sent: resolving, connecting or TLS failed."""

    code, advice = "upstream_unreachable", "The provider's endpoint could not be reached."


class EgressRefused(ProviderError):
    """The address is one that the operator did not allow; nothing was sent."""

    code, advice = "egress_refused", "The endpoint resolves to an address that is not allowed."


class UpstreamTimeout(ProviderError):
    code, status, advice = "upstream_timeout", 504, "The provider stayed silent; try again."


class UpstreamBroken(ProviderError):
    """The connection ended or spoke garbage before the response was whole."""

    code, advice = "upstream_broken", "The provider broke off; try again."


class UpstreamClosedIdle(UpstreamBroken):
    """A reused connection ended before a byte of the response: most likely the request was never seen."""

    code = "upstream_closed_idle"


class UpstreamAuth(ProviderError):
    code, advice = "upstream_auth", "The provider refused the key; ask whoever manages it."


class CallerGone(TokenOneError):
    """The caller hung up; nobody is left to answer."""

    code, status, advice = "caller_gone", 499, "Nobody is left to answer."


# ── integrity ──────────────────────────────────────────────────────────────────────────────────────────
class IntegrityError(TokenOneError):
    code, status, advice = "integrity", 500, "Do not use it; find out who changed it."


class Unopenable(IntegrityError):
    """A sealed value does not open; one indistinguishable error for every cause."""

    code, advice = "unopenable", "The sealed value does not open in this place."


class VerificationFailed(IntegrityError):
    code, advice = "verification_failed", "The ledger or receipt does not verify."


# ── the operator ───────────────────────────────────────────────────────────────────────────────────────
class OperatorError(TokenOneError):
    code, status, advice = "unavailable", 503, "Ask whoever runs the gateway."


class RootRefused(OperatorError):
    code, advice = "root_refused", "A root is missing, unreadable or in another's place."


class RootUnavailable(OperatorError):
    """The KMS does not answer; what was opened before may serve a little longer."""

    code, advice = "root_unavailable", "The key-management service does not answer."


class ReferenceUnresolved(OperatorError):
    """A key by reference leads nowhere, or where the operator does not allow it; nothing was sent."""

    code, advice = "reference_unresolved", "Ask whoever runs the gateway about the key's reference."


class ConfigRefused(OperatorError):
    code, advice = "config_refused", "Correct the configuration."


class LedgerUnavailable(OperatorError):
    code, advice = "ledger_unavailable", "There is no durable place to record; nothing was dispatched."


class SlotTaken(LedgerUnavailable):
    code, advice = "slot_taken", "Another worker writes this ledger slot."


class DirectoryStale(OperatorError):
    code, advice = "directory_stale", "The database has been away for longer than the tenant allows."


class Stopped(OperatorError):
    """The worker ends, and the call took longer than it may drain."""

    code, advice = "stopped", "The gateway restarts; try again."


class Overloaded(OperatorError):
    code, advice = "overloaded", "Too much is in flight; try again."


class StoreUnavailable(OperatorError):
    code, advice = "store_unavailable", "Start the database, or correct its URL in the configuration."


class ControlUnavailable(OperatorError):
    code, advice = "control_unavailable", "No gateway answers on the control socket."
