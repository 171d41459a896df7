"""What `apps-test/run` runs: python3 apps-test [APPLICATION]…"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The hosts, the NATs and the lines are the laboratory's; figures and tables are the bench's.
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "bench")]

from ztna_apps.commands import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
