"""What the frozen binary starts: the program, in the environment that the user had, not in the loader's.

The loader puts its own directory on `LD_LIBRARY_PATH` and marks its children; both would leak into every program we
start (a host's command, ripgrep, a browser) and into our own worker. They have done their work by now.
"""

import os
import sys

for _name in ("LD_LIBRARY_PATH", "LIBPATH"):
    _given = os.environ.pop(_name + "_ORIG", None)
    os.environ.pop(_name, None)
    if _given is not None:
        os.environ[_name] = _given
for _name in [_name for _name in os.environ if _name.startswith("_PYI")]:
    del os.environ[_name]

if sys.platform == "win32":
    import settled

    settled.settle(sys, sys.modules["pyimod02_importers"].pyz_archive)

import inert  # noqa: E402 - only now may anything start children

from rootcellar.__main__ import main  # noqa: E402 - as above

inert.install()
sys.exit(main())
