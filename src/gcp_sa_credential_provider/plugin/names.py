"""Resource names of workload identity providers and of Google service accounts.

A name is parsed strictly and the usual slip is named, since Google's own answer to all of them is
one sentence (`Invalid value for "audience"`). Rules: IAM v1 messages WorkloadIdentityPool and
WorkloadIdentityPoolProvider (ids of 4 to 32 characters, a-z, 0-9 and dash).
"""

_SHAPE = (
    "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL"
    "/providers/PROVIDER"
)
_DIGITS = "0123456789"
_ID = "abcdefghijklmnopqrstuvwxyz0123456789-"
_HOST = "abcdefghijklmnopqrstuvwxyz0123456789.-"


class BadName(ValueError):  # noqa: N818 -- the name is bad, not the program
    """A name that Google cannot know; `str()` says which slip it is."""


def only(characters: str, text: str) -> bool:
    """Whether `text` is not empty and made of `characters` alone."""
    return bool(text) and not text.strip(characters)


def provider_name(text: str, universe: str) -> str:
    """Check a provider's full resource name and return it as Google's STS wants it.

    A leading `https:` is accepted, since Google accepts it in a token's `aud`, and dropped, since
    STS refuses it. `universe` is the universe domain, such as `googleapis.com`; both
    `//iam.googleapis.com` and `//iam.UNIVERSE` may stand in front. Raises BadName.
    """
    name = text.removeprefix("https:")
    for mark in ("$", "{", "<", "PROJECT_NUMBER", "PROJECT_ID", "CLUSTERNAME", "REGION"):
        if mark in name:
            raise BadName(f"the placeholder {mark} was left in it")
    if not only(_HOST + "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:", name):
        raise BadName("it has a character that no such name has")
    if not name.startswith("//"):
        raise BadName("it does not begin with //iam.")
    host, *parts = name[2:].split("/")
    if host not in ("iam.googleapis.com", f"iam.{universe}"):
        expected = " or ".join(dict.fromkeys(("iam.googleapis.com", f"iam.{universe}")))
        raise BadName(f"its host is {host}, not {expected}")
    if "workforcePools" in parts:
        raise BadName("it names a workforce pool; ServiceAccounts need a workload identity pool")
    if parts[-1] == "":
        raise BadName("it ends in a slash")
    if len(parts) == 6 and parts[4] == "workloadIdentityPools":
        raise BadName("it names a pool without /providers/PROVIDER")
    if len(parts) != 8 or parts[::2] != [
        "projects",
        "locations",
        "workloadIdentityPools",
        "providers",
    ]:
        raise BadName("its parts are not " + _SHAPE[len("//iam.googleapis.com") :])
    number, location, pool, provider = parts[1::2]
    if not only(_DIGITS, number):
        raise BadName(f"{number} is a project ID; the project NUMBER belongs there")
    if location != "global":
        raise BadName(f"its location is {location}, not global")
    for kind, name_id in (("pool", pool), ("provider", provider)):
        if not (4 <= len(name_id) <= 32 and only(_ID, name_id)):
            raise BadName(f"the {kind} id {name_id} is not 4 to 32 characters of a-z, 0-9 and -")
    return name


def account_name(text: str) -> str:
    """Check the e-mail or the numeric id of a Google service account. Raises BadName.

    Strict, because whoever may edit a ServiceAccount's annotations writes this into the path of a
    request.
    """
    if only(_DIGITS, text):
        if 10 <= len(text) <= 30:
            return text
        raise BadName("a numeric id has 10 to 30 digits")
    if len(text) > 254:
        raise BadName("it is longer than 254 characters")
    user, at, domain = text.partition("@")
    if not at:
        raise BadName("it is neither an e-mail address nor a numeric id")
    if not (only(_HOST, user) and only(_HOST, domain)):
        raise BadName("only a-z, 0-9, dot and dash may stand beside the one @")
    return text
