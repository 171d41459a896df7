"""A network whose Intermediate is far away: the cable to it takes its time. The homes are near each
other, as with a relay in another country."""

from __future__ import annotations

from ztna_lab.namespaces import Host, Laboratory
from ztna_lab.programs import program

# From each home to the Intermediate and back. What is relayed from one home to the other, and back,
# takes twice as long.
RTT = 0.040


class FarLaboratory(Laboratory):
    """Where Wan lays the Intermediate's cable, this one puts a long one."""

    def link(self, a: Host, a_name: str, b: Host, b_name: str):
        if b.name != "intermediate":
            super().link(a, a_name, b, b_name)
            return
        cable = self.host("cable")
        super().link(a, a_name, cable, "near")
        super().link(b, b_name, cable, "far")
        cable.spawn("cable", program("slow_cable"), "near", "far",
                    f"{1000 * RTT / 2:g}").wait_log("joined")
