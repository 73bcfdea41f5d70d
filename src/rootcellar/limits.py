"""Every cap, one line each, with its reason. Sizes are bytes, times are seconds, unless the name says otherwise."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# The wire
MESSAGE_BYTES_MAX: Final = 16 * MIB  # a write of a large text fits; one line never fills memory
MESSAGE_DEPTH_MAX: Final = 128  # arguments nest 4 deep; a parser must not recurse at the sender's will
IN_FLIGHT_MAX: Final = 512  # 100 slow calls and as many quick ones still run side by side
QUEUED_BYTES_MAX: Final = 8 * MIB  # read, not yet started: past it stdin is left unread
UNSENT_BYTES_MAX: Final = 4 * MIB  # answers the client has not read: past it nothing new starts
ROOTS_ANSWER_S: Final = 10.0  # a client that advertises roots and never answers
EXIT_S: Final = 0.8  # end of input, SIGINT, SIGTERM: writes in flight finish within it

# Answers
ANSWER_CHARS_MAX: Final = 100_000  # about 25,000 tokens: what hosts let one result hold
TREE_CHARS_MAX: Final = 12_000  # a 20,000-file project stays readable
LIST_ENTRIES_MAX: Final = 1_000  # one page of a directory
LINE_CHARS_MAX: Final = 2_000  # one matched line; minified files have lines of megabytes
IMAGE_BYTES_MAX: Final = 1 * MIB  # hosts reject a session over 5 MB of images; scaled down to this
MEDIA_BYTES_MAX: Final = 20 * MIB  # read to be scaled or sent

# Files
EDIT_BYTES_MAX: Final = 64 * MIB  # edits hold the file and its new form in memory
READ_PATHS_MAX: Final = 100  # files in one `read_files`
LINK_HOPS_MAX: Final = 40  # Linux's own limit
PATH_BYTES_MAX: Final = 4_096  # Linux's PATH_MAX; also what one argument may hold
NAME_BYTES_MAX: Final = 255  # every file system we know
WALK_ENTRIES_MAX: Final = 2_000_000  # a walk of a whole disk ends

# Roots
CLIENT_ROOTS_MAX: Final = 256  # a workspace with more folders than that is a mistake
ROOTS_RETRY_S: Final = 30.0  # a client that failed to list its roots is asked again after this
