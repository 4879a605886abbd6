"""Names that vulture finds unused and that are used all the same, each with who uses it."""

# Python itself, by name.
_.__class__
_.__dir__
_.__getattr__
_.__path__

# click calls them, or a decorator registers them.
_.format_commands
_.format_epilog
_.list_commands
import_
open_

# importlib calls them on a loader.
_.get_code
_.set_data

# Found by the name of a kind of cell.
_._date  # noqa: SLF001 - a name
_._timestamp  # noqa: SLF001 - a name

# io calls them on a raw stream.
_.readable
_.readinto
_.writable

# Set for other libraries to read: zipfile, ONNX Runtime, sqlite3, uvicorn.
_.default_headers
_.external_attr
_.intra_op_num_threads
_.inter_op_num_threads
_.log_severity_level
_.isolation_level

# SQLAlchemy calls it when a connection is made.
prepare

# Alembic reads them in each migration.
revision
down_revision
branch_labels
depends_on

# Columns of the catalog: read by who queries them.
_.fired_at
_.pid

# What a context manager is told at its end, and does not look at.
exception

# Called by tests, as a user of the log would.
open_reading

# Named in annotations in quotes; a key of a typed dict.
data_views
pd
without

# Parameters of overloads: only the implementation uses them.
code_version
retry_seconds
ignore
sees_test_rows
training_only

# The port of a store's objects, which the tables of `data` are about to stand on.
modified
open_objects
_.put_if
_.uri

# A guard reads it.
_.incoming

# Named in the table of executors, as text.
LocalExecutor
ProcessExecutor

# Called by notebooks.
_.label_queue
_.close_review
_.settle_triggers
_._repr_html_

# Read by users in their exit steps.
_.failed_step

# Named in an annotation only.
review_views
Offsets

# uvicorn and the event loop call and read these.
_.data_received
_.eof_received
_.disconnected
_.keep_alive
_.connection_made
_.waiting_for_100_continue

# Kept in the catalog, for people.
_.paired_at

# What is hashed for many rows at once, said for one; tests compare the two.
_.data_row
