"""Why an agent or a server is turned away: a code for programs, a reason and a mend for people."""

from enum import StrEnum
from typing import ClassVar

from boreas.domain.errors import BoreasError, ErrorCode
from boreas.transport.frames import Refused


class RefusalCode(StrEnum):
    """Stable names; agents decide by them whether dialling again makes sense."""

    PROTOCOL_VERSION = "protocol_version"
    PROTOCOL_VIOLATION = "protocol_violation"
    TOO_SLOW = "too_slow"
    BUSY = "busy"
    TOKEN_UNKNOWN = "token_unknown"
    TOKEN_USED = "token_used"
    TOKEN_EXPIRED = "token_expired"
    NAME_TAKEN = "name_taken"
    CSR_BAD = "csr_bad"
    CERTIFICATE_MALFORMED = "certificate_malformed"
    CERTIFICATE_FOREIGN = "certificate_foreign"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_NOT_AGENT = "certificate_not_agent"
    PROOF_WRONG = "proof_wrong"
    AGENT_UNKNOWN = "agent_unknown"
    AGENT_REVOKED = "agent_revoked"
    KEY_UNKNOWN = "key_unknown"
    ALREADY_CONNECTED = "already_connected"


class Refusal(BoreasError):
    """The other side is turned away."""

    code: ClassVar[ErrorCode] = ErrorCode.FORBIDDEN

    def __init__(
        self, refusal_code: str, reason: str, mend: str = "", retry_after: float | None = None
    ) -> None:
        self.refusal_code = refusal_code
        self.reason = reason
        self.mend = mend
        self.retry_after = retry_after
        super().__init__(f"{reason.rstrip('.')}; {mend}" if mend else reason)

    @classmethod
    def from_frame(cls, frame: Refused) -> "Refusal":
        """What the other side said."""
        return cls(frame.code, frame.reason, frame.mend, frame.retry_after)

    def frame(self) -> Refused:
        """What to say to the other side."""
        return Refused(
            code=str(self.refusal_code),
            reason=self.reason,
            mend=self.mend,
            retry_after=self.retry_after,
        )


class ServerNotTrusted(BoreasError):
    """The server could not prove that it is the one whose token or certificate we hold."""

    code: ClassVar[ErrorCode] = ErrorCode.FORBIDDEN
