"""Every cap, one line each, with its reason. Sizes are bytes, times are seconds, unless the name says otherwise."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# The wire
MESSAGE_BYTES_MAX: Final = 16 * MIB  # a write of a large text fits; one line never fills memory
MESSAGE_DEPTH_MAX: Final = 128  # arguments nest 4 deep; a parser must not recurse at the sender's will
MESSAGE_VALUES_MAX: Final = 500_000  # 16 MiB of `[],[],` would become 300 MB of lists
MESSAGE_EDGE_BYTES: Final = 4_096  # kept of a message too large to hold, to find its id
MESSAGE_OVERHEAD_BYTES: Final = 1_024  # what a short message costs us beside its own bytes
ARGUMENTS_MAX: Final = 64  # names in one object of arguments; no tool takes a quarter of that
BATCH_MESSAGES_MAX: Final = 1_000  # in one JSON-RPC batch
STARTS_MAX: Final = 64  # calls started at once before the first of them answers
STARTS_PAUSE_S: Final = 0.01  # then a pause: a client that has stopped reading shows itself
IN_FLIGHT_MAX: Final = 512  # 100 slow calls and as many quick ones still run side by side
QUEUED_BYTES_MAX: Final = 8 * MIB  # read, not yet started: past it stdin is left unread
UNSENT_BYTES_MAX: Final = 4 * MIB  # answers the client has not read: past it nothing new starts
ROOTS_ANSWER_S: Final = 10.0  # a client that advertises roots and never answers
PROGRESS_EVERY_S: Final = 0.25  # as often as a person can read
EXIT_S: Final = 0.7  # of the second we promise; end of input, SIGINT, SIGTERM: writes in flight finish within it
EXIT_CUT_S: Final = 0.3  # of EXIT_S: what still runs is stopped, and writes are completed
ENGINE_STARTS_MAX: Final = 5  # an engine that keeps dying is not started for ever

# Answers
ANSWER_CHARS_MAX: Final = 100_000  # about 25,000 tokens: what hosts let one result hold
TREE_CHARS_MAX: Final = 12_000  # a 20,000-file project stays readable
LIST_ENTRIES_MAX: Final = 1_000  # one page of a directory
LINE_CHARS_MAX: Final = 2_000  # one matched line; minified files have lines of megabytes
IMAGE_BYTES_MAX: Final = 1 * MIB  # hosts reject a session over 5 MB of images; scaled down to this
MEDIA_BYTES_MAX: Final = 20 * MIB  # read to be scaled or sent

# Files
EDIT_BYTES_MAX: Final = 64 * MIB  # edits hold the file and its new form in memory
VERSION_BYTES_MAX: Final = 8 * MIB  # a read hashes what it shows; above, hashing would cost more than reading
RESOURCE_BYTES_MAX: Final = 4 * MIB  # a resource has no pages
EDIT_MATCHES_MAX: Final = 100_000  # replaced by one `edit_file`: about two seconds
EDITS_MAX: Final = 200  # replacements in one `edit_file`
READ_PATHS_MAX: Final = 100  # files in one `read_files`
LINK_HOPS_MAX: Final = 40  # Linux's own limit
PATH_BYTES_MAX: Final = 4_096  # Linux's PATH_MAX; also what one argument may hold
NAME_BYTES_MAX: Final = 255  # every file system we know
WALK_ENTRIES_MAX: Final = 2_000_000  # a walk of a whole disk ends

# Changes
REQUEST_KEY_CHARS_MAX: Final = 200  # a UUID, or a sentence
REQUEST_KEY_WAIT_S: Final = 5.0  # for another server that is at the same request
REQUEST_KEY_LOOK_S: Final = 0.05  # how often meanwhile
ARGUMENT_KEPT_CHARS: Final = 120  # what the journal keeps of one argument
SUMMARY_CHARS_MAX: Final = 500  # what the journal keeps of an answer; all of it where a `request_key` may ask for it
CHANGE_CHARS_MAX: Final = 20_000  # of one change shown, or one undo foreseen
CONSENT_S: Final = 600.0  # a question waits as long for the user's answer
CONSENT_ASKS_MAX: Final = 5  # of one call, when what it would change keeps changing meanwhile
CONSENT_OPEN_MAX: Final = 1_024  # questions waiting for their answers; the oldest are asked again
CONSENT_CHARS_MAX: Final = 3_000  # what a person reads before saying yes
CONSENT_ENTRIES_MAX: Final = 100_000  # of a folder to be replaced or deleted, looked at to say how much it holds
HOST_CHARS_MAX: Final = 80  # of what a client calls itself

# Roots
URI_CHARS_MAX: Final = 3 * PATH_BYTES_MAX  # every byte of a path percent-encoded
URI_SHOWN_CHARS: Final = 200  # of a root that could not be used
DOOR_THREADS: Final = 4  # roots being opened at once: one dead mount must not hold up the others
CLIENT_ROOTS_MAX: Final = 256  # a workspace with more folders than that is a mistake
ROOTS_RETRY_S: Final = 30.0  # a client that failed to list its roots is asked again after this

# Threads behind the wall
QUICK_THREADS: Final = 6  # short calls; more than the cores, for a call that waits for a disk holds one
LONG_THREADS: Final = 4  # search, hash, copy, walk: the search engine itself uses every core
DATABASE_THREADS: Final = 2  # to begin with: a call on a database only waits for its worker process
DATABASE_THREADS_MAX: Final = 64  # one more is started whenever none is left to take the next call
STUCK_QUICK_S: Final = 5.0  # a short call that takes longer waits for a dead disk: a spare takes its place
STUCK_LONG_S: Final = 60.0  # the same for long work, which may just be long
SPARE_THREADS_MAX: Final = 16  # a lane whose disk is dead for good does not grow without end
POOL_IDLE_S: Final = 30.0  # then the handles of its roots are let go: a disk can be ejected
POOLS_MAX: Final = 4  # sets of roots served at once; one client has one or two

# Databases
QUERY_ROWS_DEFAULT: Final = 100  # one page, when the caller names none
QUERY_ROWS_MAX: Final = 10_000  # one page; the cursor continues it
QUERY_S: Final = 10.0  # a query, a change, a description
TRANSFER_S: Final = 600.0  # an import, an export, a backup, a check of a large file
KILL_GRACE_S: Final = 0.5  # between the interrupt at the deadline and the end of the worker
CANCEL_GRACE_S: Final = 0.1  # the same after the caller took the request back
BUSY_S: Final = 5.0  # waiting for another program's lock
CELL_CHARS_MAX: Final = 4_000  # one value in an answer; `substr` gets the rest
SQL_BYTES_MAX: Final = 1 * MIB  # a script; also SQLite's own limit on one statement
PARAMS_MAX: Final = 32_766  # SQLite's own
SQLITE_HEAP_BYTES_MAX: Final = 512 * MIB  # a sort of a large table fits; past it SQLite says no
SQLITE_VALUE_BYTES_MAX: Final = 64 * MIB  # one text or blob, in or out
WORKER_BYTES_MAX: Final = 2_048 * MIB  # address space of one worker, interpreter and all
WORKERS_PER_DATABASE_MAX: Final = 4  # readers side by side; one writes
WORKERS_MAX: Final = 12  # worker processes in all, about 20 MiB each
WORKERS_RESERVED: Final = 4  # of those, for databases that have none at work
WORKER_WAIT_S: Final = 30.0  # for a worker of a busy database; an import may hold its writer for longer
WORKER_WAITING_MAX: Final = 24  # calls that wait for one database's workers: it takes no more threads than that
WORKER_IDLE_S: Final = 60.0  # a worker nobody asked for this long ends
CONNECTION_IDLE_S: Final = 1.0  # after it nothing of ours is open in the user's file
DATABASES_LISTED_MAX: Final = 200  # one `list_databases`
EXPORT_BYTES_MAX: Final = 256 * MIB  # one exported file
ROWS_KEPT_MAX: Final = 500_000  # of one change, row by row; past it the whole file is kept instead
ROWS_KEPT_BYTES_MAX: Final = 96 * MIB  # the same in bytes: they pass through the worker's and the server's memory
WHOLE_BYTES_MAX: Final = 192 * MIB  # a file kept whole; compared in the worker's memory, beside what the change needs
BAD_ROWS_TOLD_MAX: Final = 20  # bad rows of an import, each with its line

# Secrets
SECRET_BYTES_MAX: Final = 64 * KIB  # a key, a token, a certificate; keychains are no file store
SECRET_WINDOWS_UNITS_MAX: Final = 1_280  # Credential Manager's 2,560 bytes, of UTF-16
SECRET_NAME_CHARS_MAX: Final = 64  # what a person types
SECRETS_MAX: Final = 1_000  # in our index
KEYCHAIN_PERSON_S: Final = 120.0  # a person at a terminal finds and types a password
KEYCHAIN_CALL_S: Final = 25.0  # the same inside a tool call: hosts give one a minute
KEYCHAIN_QUIET_S: Final = 3.0  # where nobody is to be asked: it takes 30 ms
KEY_PAGE_LIFE_S: Final = 300.0  # to find a key in a password manager
KEY_PAGE_WAIT_S: Final = 45.0  # of a call: hosts give one a minute; the page stays, and the next call waits again
KEY_PAGE_LOOK_S: Final = 0.1  # how soon the call goes on
KEY_PAGE_TRIES_MAX: Final = 5  # wrong keys on one page
KEY_PAGE_BODY_BYTES_MAX: Final = 4 * SECRET_BYTES_MAX  # a form spells some bytes with three
KEY_PAGES_MAX: Final = 4  # open at once: one for each database somebody waits for
KEY_HELD_S: Final = 60.0  # a database key is asked for once in this time, as long as its worker has it
SECRET_USED_EVERY_S: Final = 3_600.0  # how exactly `last used` is kept
AUDIT_FLUSH_S: Final = 0.2  # of EXIT_S: what was noted last is still written
AUDIT_BYTES_MAX: Final = 16 * MIB  # then the trail goes on in a new file; one old file is kept

# Pages in the browser
PAGE_OPENED_S: Final = 300.0  # a browser that starts cold, an update it wants first; then the one-time token is void
PAGE_LEFT_S: Final = 8.0  # a page that is reloaded comes back within this
PAGE_SILENT_S: Final = 180.0  # browsers wake a hidden tab once a minute
PAGE_LIFE_S: Final = 3_600.0  # nobody sets up for an hour
PAGE_REQUEST_S: Final = 10.0  # one request over loopback, head and body
PAGE_BODY_BYTES_MAX: Final = 64 * KIB  # a choice of hosts and folders, or a key
PICKER_FOLDERS_MAX: Final = 1_000  # folders of one folder: more than a person reads

# The journal
JOURNAL_BYTES_MAX: Final = 1_024 * MIB  # in all, as stored; the oldest changes go first
JOURNAL_AGE_S: Final = 30 * 86_400.0  # as long as a desktop's trash keeps things
JOURNAL_CONTENT_BYTES_MAX: Final = 256 * MIB  # one content; what is larger is told before the change
JOURNAL_INLINE_BYTES_MAX: Final = 16 * KIB  # below it a content lies in the index: a file would cost one more flush
JOURNAL_WHOLE_BYTES_MAX: Final = 4 * MIB  # a replaced file up to here is kept whole, above only what differs
JOURNAL_HASH_BYTES_MAX: Final = 64 * MIB  # above it identity, size and time say whether a file is as we left it
JOURNAL_PAGE: Final = 50  # changes in one page of `list_changes`
JOURNAL_STEPS_MAX: Final = 10_000  # of one change
