# SPDX-License-Identifier: GPL-2.0-or-later
"""The domain XML: a rules file per part of it.

convert() runs RULES, in their order, over a Xen guest's domain XML; what each changes is the plan,
what comes out is the domain for KVM. read() says what is in a document, target_names() how the
guest's disks are called on either side.
"""

from xen2kvmd.domain.convert import Converted, complete, convert, masked
from xen2kvmd.domain.joined import join
from xen2kvmd.domain.names import target_names
from xen2kvmd.domain.read import DomainDisk, SourceDomain, check_name, read
from xen2kvmd.domain.rules import RULES

__all__ = [
    "RULES",
    "Converted",
    "DomainDisk",
    "SourceDomain",
    "check_name",
    "complete",
    "convert",
    "join",
    "masked",
    "read",
    "target_names",
]
