"""run(host) -> exit code: the order of things, which only this module knows.

settings -> budget -> request -> may this image have a token? -> exchange -> impersonation ->
response -> record. Whatever fails ends in one line on stderr and one record.

| exit | meaning |
|---|---|
| 0 | one CredentialProviderResponse is on stdout |
| 1 | the exchange failed: network, STS, IAM |
| 2 | request, environment or configuration is wrong |
"""

import posix
import time

from gcp_sa_credential_provider.plugin import record, request, response
from gcp_sa_credential_provider.plugin.connect import Endpoint
from gcp_sa_credential_provider.plugin.deadline import Deadline, Progress, Watchdog
from gcp_sa_credential_provider.plugin.exchange import Grant, exchange
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.host import Host, check_descriptors, write_all
from gcp_sa_credential_provider.plugin.http import Service
from gcp_sa_credential_provider.plugin.images import matches
from gcp_sa_credential_provider.plugin.names import BadName, account_name
from gcp_sa_credential_provider.plugin.request import Request
from gcp_sa_credential_provider.plugin.settings import TIMEOUT, Settings, from_environment
from gcp_sa_credential_provider.plugin.text import printable
from gcp_sa_credential_provider.plugin.tls import TrustStore
from gcp_sa_credential_provider.plugin.token import Claims, read_claims

# Seconds once the outcome is known: for the log of a success; for the texts, stderr and the log of
# a failure. With both the process ends before the kubelet's 60.
_LAST_WORDS, _LAST_WORDS_OF_FAILURE = 0.5, 2.0
_LONGEST_FIELD = 512  # characters of one value of the record, …
_LONGEST_MESSAGE = 1024  # … and of what stderr got, whose fix is at its end


class Attempt:
    """One run and what is known of it so far: for the line, the record and the watchdog."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.started = int(time.time())
        self.progress = Progress(Deadline(TIMEOUT[2]))
        self.secrets: list[str] = []
        self.log = ""
        self.request: Request | None = None
        self.claims: Claims | None = None
        self.store: TrustStore | None = None
        self.account = ""
        self.lifetime: int | None = None
        self.code = 0
        self.said = False

    def configure(self) -> Settings:
        """Check the descriptors and the environment, and set the budget."""
        check_descriptors(self.host)
        environment = self.host.environment
        for variable in ("HTTPS_PROXY", "https_proxy"):
            if text := environment.get(variable):
                # Imported where it is used, as all that most pulls can do without.
                from gcp_sa_credential_provider.plugin.proxy import secrets_of

                self.secrets += secrets_of(text)
        settings = from_environment(environment)
        self.log = settings.log
        self.progress = Progress(Deadline(settings.timeout))
        return settings

    def respond(self, settings: Settings) -> None:
        """Write the response and close stdout, before anything else may take time."""
        self.progress.enter("stdin", "REQUEST-TIMEOUT")
        asked = self.request = request.parse(request.read(self.host.stdin), self.secrets)
        if not any(matches(pattern, asked.image) for pattern in settings.registries):
            texts = ",".join(pattern.text for pattern in settings.registries)
            raise Failure("IMAGE-OUTSIDE", image=asked.image.text, registries=texts)
        self.account = choose_account(settings, asked)
        self.claims = read_claims(asked.token)
        grant = self.obtain(settings, asked.token, self.claims)
        self.secrets.append(grant.token)
        self.lifetime = grant.lifetime
        document = response.document(
            [pattern.text for pattern in settings.registries]
            if settings.cache_key_type == "Global"
            else [asked.image.registry],
            grant.token,
            settings.cache_key_type,
            response.cache_seconds(grant.lifetime),
        )
        self.progress.enter("stdout", "STDOUT-TIMEOUT")
        try:
            write_all(self.host.stdout, document)
            posix.close(self.host.stdout)
        except OSError as error:
            raise Failure("STDOUT-CLOSED", error=error.strerror) from None

    def obtain(self, settings: Settings, token: str, claims: Claims) -> Grant:
        """Exchange, and impersonate where an account is named."""
        store = self.store = TrustStore(settings.cert_file, settings.cert_dir)

        def service(endpoint: Endpoint) -> Service:
            return Service(endpoint=endpoint, proxy=settings.proxy_for(endpoint), store=store)

        sts = service(settings.sts)
        iam = service(settings.iam_credentials) if self.account else None
        grant = exchange(sts, settings.audience, token, claims, self.progress)
        if iam is None:
            return grant
        from gcp_sa_credential_provider.plugin.impersonate import impersonate

        self.secrets.append(grant.token)
        return impersonate(
            iam, self.account, settings.scope, settings.lifetime, grant, claims, self.progress
        )

    def conclude(self, failure: "Failure | None") -> int:
        """`finish`, or one fixed line where that cannot be done or takes too long: the exit code.

        The modules that it imports may be gone: a zipapp was replaced while it ran.
        """
        if failure is not None:
            self.code = 1  # until the catalogue has been asked
        # A disk that hangs, a reader of stderr that does not read: neither may hold a pull.
        # Datagrams do not wait: with them a success needs no second thread.
        watchdog: Watchdog | None = None
        if failure is not None or self.log.startswith("/"):
            seconds = _LAST_WORDS if failure is None else _LAST_WORDS_OF_FAILURE
            try:
                watchdog = Watchdog(
                    Deadline(seconds),
                    lambda: self.cut_short(failure, "TimeoutError"),
                    self.host.exit,
                )
            except Failure:
                watchdog = None  # no thread to spare; the line is short enough to go without
        try:
            self.finish(failure)
        except BaseException as error:  # noqa: BLE001 -- a traceback may quote a token
            if failure is not None:  # else the response is with the kubelet
                self.code = 1
                self.cut_short(failure, type(error).__name__)
        if watchdog:
            watchdog.dismiss()
        return self.code

    def cut_short(self, failure: "Failure | None", reason: str) -> int:
        """Say one fixed line, for which nothing is imported, if none was said. The exit code."""
        if failure is not None and not self.said:
            self.said = True
            line = (
                f"{record.NAME}: [{failure.code}] no more can be said ({reason}). Fix: see whether"
                " this program was replaced while it ran, or its disk hangs, and pull again"
            )
            try:  # noqa: SIM105 -- contextlib is an import too
                write_all(self.host.stderr, line.encode("ascii", "replace"))
            except OSError:
                pass
        return self.code

    def finish(self, failure: "Failure | None") -> None:
        """Say what failed, on stderr and in the record."""
        text = ""
        if failure is not None:
            # Not on the way of a pull that works: the texts alone are a third of this package.
            from gcp_sa_credential_provider.plugin.line import explain
            from gcp_sa_credential_provider.plugin.messages import MESSAGES

            self.code = MESSAGES[failure.code].exit_code
            text = explain(failure, self.secrets, self.progress.attempt)
        if text and not self.said:
            self.said = True
            # A newline would make klog break the kubelet's log entry into several (klog/v2
            # serialize.KVListFormat, kubelets from 1.35 on); a person at a terminal wants one.
            end = b"\n" if posix.isatty(self.host.stderr) else b""
            try:
                write_all(self.host.stderr, text.encode("ascii") + end)
            except OSError:
                text += " (stderr was closed)"
        self.progress.leave()
        record.write(self.log, self.fields(failure.code if failure else "OK", text))

    def fields(self, outcome: str, text: str) -> record.Fields:
        """The record: no token, no signature, no password."""
        facts: dict[str, str | int | None] = {
            "time": self.started,
            "outcome": outcome,
            "message": text or None,
            "image": self.request.image.text if self.request else None,
            "account": self.account or None,
            "trust": self.store.source or None if self.store else None,
            "tries": self.progress.tries,
            "expires_in": self.lifetime,
        }
        if self.claims:
            facts["serviceaccount"] = f"{self.claims.namespace}/{self.claims.service_account}"
            facts["subject"] = self.claims.subject
            facts["issuer"] = self.claims.issuer
            facts["kid"] = self.claims.key_id
        for phase, spent in list(self.progress.milliseconds.items()):  # the main thread adds some
            facts[f"ms_{phase}"] = int(spent)
        return {
            key: printable(value, _LONGEST_MESSAGE if key == "message" else _LONGEST_FIELD)
            if isinstance(value, str)
            else value
            for key, value in facts.items()
            if value is not None
        }


def choose_account(settings: Settings, asked: Request) -> str:
    """The account to impersonate: the ServiceAccount's own word first, where that is allowed."""
    key = settings.account_annotation
    if not key or key not in asked.annotations:
        return settings.account
    value: object = asked.annotations[key]
    try:
        return account_name(value if isinstance(value, str) else "")
    except BadName as slip:
        raise Failure("ACCOUNT-NAME", where=f"annotation {key}", value=value, slip=slip) from None


def _place(error: BaseException) -> str:
    """File and line of the innermost frame, which quote nothing."""
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def run(host: Host) -> int:
    """Answer one request of the kubelet. Returns the exit code and never raises."""
    attempt = Attempt(host)
    watchdog: Watchdog | None = None
    failure: Failure | None = None

    try:
        settings = attempt.configure()
        watchdog = Watchdog(
            attempt.progress.deadline,
            lambda: attempt.conclude(attempt.progress.overdue()),
            host.exit,
        )
        attempt.respond(settings)
    except Failure as caught:
        failure = caught
    except BaseException as error:  # noqa: BLE001 -- a traceback may quote a token
        failure = Failure("INTERNAL", error=type(error).__name__, place=_place(error))
    if watchdog is not None and not watchdog.claim():
        return watchdog.wait()
    code = attempt.conclude(failure)
    if watchdog is not None:
        watchdog.dismiss()  # now, not before: its thread would wake and want the interpreter
    return code
