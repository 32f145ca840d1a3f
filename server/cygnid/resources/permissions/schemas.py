"""What is said of roles and members."""

from enum import StrEnum

from cygnid.core.errors import Conflict


class MemberEvent(StrEnum):
    JOINED = "member.joined"


class AlreadyMember(Conflict):
    """This user is a member of the team already."""

    hint = "Change the member's role instead."


BUILT_IN_ROLES: dict[str, str] = {
    name: f"role_{number:026d}"
    for number, name in enumerate(
        ("owner", "admin", "viewer", "developer", "deployer", "operator", "billing", "auditor"), start=1
    )
}
"""The ids of the built-in roles, the same in every installation. A migration stores them."""
