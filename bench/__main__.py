"""What `bench/run` and `bench/peers` run: python3 bench COMMAND…"""

import pathlib
import sys

# The hosts, the NATs and the scenes are the laboratory's.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lab"))

from ztna_bench.commands import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
