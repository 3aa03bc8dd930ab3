# SPDX-License-Identifier: GPL-2.0-or-later
"""What the caller has agreed to: a plan, by its digest, and the findings that are waived."""

from collections.abc import Iterable

from xen2kvmd.errors import Blocked, PlanChanged
from xen2kvmd.model import Finding, Plan, Request


def check_digest(request: Request, made: Plan) -> None:
    """Raise PlanChanged if the caller has agreed to another plan than was made."""
    if request.plan_digest and request.plan_digest != made.digest:
        raise PlanChanged(
            f"The source, or this host, changed since the plan {request.plan_digest[:19]}… was "
            "made.",
            hint="Look at a new plan, and migrate with its digest.",
        )


def check_blockers(blockers: Iterable[Finding]) -> None:
    """Raise Blocked if there are any: findings that forbid the migration, and are not waived."""
    found = tuple(blockers)
    if found:
        hints = " ".join(finding.hint for finding in found if finding.hint)
        raise Blocked(
            "; ".join(f"{finding.message.rstrip('.')} [{finding.id}]" for finding in found) + ".",
            hint=f"{hints} A finding is waived with --waive ID, at your own risk.".strip(),
        )
