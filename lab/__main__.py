"""What `ztna lab` runs: python3 lab COMMAND…"""

import sys

from ztna_lab.commands import main

sys.exit(main(sys.argv[1:]))
