"""How much we read of anything that we did not write, and how long we wait for it.

Sizes are in bytes, times in seconds. One place, so that a reviewer can see them together.
"""

from __future__ import annotations

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB

# OCI
MANIFEST = 4 * MiB
"""A manifest or index: what the distribution specification asks registries to accept."""
CONFIG = 4 * MiB
"""A config blob."""
TEXT_LAYER = 16 * MiB
"""A template, system prompt, parameter, message or licence layer that is read into memory."""
LAYERS = 10_000
"""Descriptors in one manifest."""
LAYERS_WRITTEN = 450
"""Layers we put into one manifest; Amazon ECR refuses more than 500."""
REFERENCE = 255
"""Characters of `host/repository`, as the distribution specification advises."""
TAG = 128
"""Characters of a tag."""
REFERRERS = 1_000
"""Signatures, attestations and the like that travel with one model."""
REFERRER_PAGES = 100
"""Answers that a registry may spread a list of referrers over."""
REFERRER_DEPTH = 4
"""How far a referrer of a referrer may be from the model."""
REFERRER_TRIES = 5
"""Attempts to get an entry into an index of referrers that others write too."""
TAR_MEMBERS = 65_536
"""Members of a tar that holds an OCI layout."""
TAR_HEADER = 1 * MiB
"""An extended header of a tar."""

# Modelfile
MODELFILE = 16 * MiB
"""A Modelfile."""

# GGUF
GGUF_HEADER = 512 * MiB
"""Metadata and tensor table together."""
GGUF_STRING = 16 * MiB
"""One string in a GGUF header."""
GGUF_ARRAY = 64 * 1024 * 1024
"""Elements of one array in a GGUF header."""
GGUF_METADATA = 65_536
"""Metadata keys."""
GGUF_TENSORS = 1_048_576
"""Tensors."""
GGUF_KEY = 65_535
"""Characters of a metadata key, as the GGUF specification has it."""
GGUF_NAME = 1024
"""Bytes of a tensor name; llama.cpp itself stops at 64."""
GGUF_SPLITS = 10_000
"""Files of one split GGUF."""

# Running models
PROMPT = 16 * MiB
"""Characters of a text that is to become tokens; that takes up to 10 s."""
FRAME = 256 * MiB
"""A request to a worker, or what one step of its engine has brought."""
IMAGE = 32 * MiB
"""The file of an image that a model is to look at."""
IMAGE_SIDE = 16_384
"""Its pixels in a row or a column."""
IMAGE_PIXELS = 32 * 1024 * 1024
"""Its pixels; each takes some bytes when it is decoded."""
IMAGE_RATIO = 200
"""So many times as long as the other may one side be."""
IMAGES = 64
"""Images of one request."""
IMAGES_KEPT = 256 * MiB
"""What models computed of images lately, kept in case they come again."""
STOPS = 64
"""Texts that end an answer; each is looked for behind every token."""
STOP = 1_024
"""Characters of one of them."""
WORKER_SILENCE_S = 300.0
"""A worker that has something to do and says nothing for so long is taken to hang."""
WORKER_LEAVE_S = 3.0
"""A worker that was told to leave is killed after this time."""

# The server
REQUEST_BODY = 128 * MiB
"""The body of a request, pictures included."""
REQUEST_BODIES = 1 * GiB
"""Bodies that are being read at the same time."""
BODY_TIMEOUT_S = 30.0
"""How long a client may pause inside a body, and how long a small one may take."""
SLOWEST_BODY = 16 * KiB
"""Bytes a second that a client must send of a large body."""
ANSWER_TIMEOUT_S = 60.0
"""How long a client may read nothing of an answer."""
EMBED_TEXTS = 2_048
"""Texts of one request for vectors."""
MODELS_OPEN = 64
"""Models whose texts and facts are kept in memory."""

# HTTP
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
REDIRECTS = 5
"""Redirects of one request."""
CANCEL_TIMEOUT_S = 5.0
"""An upload is given up without the registry if it does not answer in this time."""
ERROR_BODY = 64 * KiB
"""Body of an error answer."""
ANSWER_HEAD = 64 * KiB
"""Status line and headers of an answer."""
TOKEN_BODY = 1 * MiB
"""Answer of a token service."""
CREDENTIALS_FILE = 4 * MiB
"""docker's config.json and its relatives."""
CONFIG_FILE = 1 * MiB
"""Our own configuration file."""
HELPER_TIMEOUT_S = 10.0
"""A credential helper."""

# Moving bytes
BLOCK = 128 * KiB
"""Buffer of a copy: small enough to stay in the processor's cache."""
SMALL = 64 * KiB
"""A blob of up to this size takes longer to ask for than to move."""
SMALL_FROM = 16
"""So many small blobs of a model move together."""
LINES_EACH = 4
"""Connections for small blobs, for each blob that may move at a time."""
LINES_TROUBLE = 8
"""Small blobs that fail before the others are asked for one by one."""
GATHERED = 64
"""Small blobs that are made durable one after the other, behind those that still come."""
GATHERED_GROUPS = 4
"""So many times as many may wait for that."""
RANGES_FROM = 64 * MiB
"""A blob of this size or more is fetched in ranges."""
RANGE_PART = 64 * MiB
"""One such range."""
RANGE_BLOCK = 2 * MiB
"""Buffer of a range: several threads share one interpreter, and fewer blocks mean fewer turns."""
POUR_S = 0.05
"""How long one buffer is filled; what comes slower is handed on as it comes."""
FLOW_BLOCKS = 4
"""Such buffers of one blob, being hashed or written, besides one for each connection."""
FLOW_LAG = 16 * MiB
"""Bytes that whoever fetches in order waits for to be hashed, rather than to run ahead."""
FLOW_WATCHED_S = 0.2
"""How long hashing is watched before it counts as waiting for the network."""
FLOW_STARVED = 0.6
"""The part of that time from which on it does."""
RANGE_PARTS = 16_384
"""Ranges of one blob; those of a huge blob are larger."""
JOURNAL = 1 * MiB
"""The journal of a download that stopped."""
JOURNAL_EVERY_S = 1.0
"""How often the journal of a download is written."""
TELL_EVERY = MiB
"""Bytes between two pieces of news, which cost more than hashing a block."""
SENT_PIECE = MiB
"""What the kernel is asked to send of a file at a time, at first."""
SENT_PIECES = 16 * MiB
"""The most it is asked to send, where it is fast."""
SENT_PIECE_S = 0.05
"""What was sent in this time was sent fast."""
MOUNT_TRIES = 3
"""Repositories that are asked for a blob before it is sent."""
UPLOADS_KEPT_FROM = 4 * MiB
"""An upload of this size or more is written down, so that a later push can go on with it."""
UPLOAD_JOURNAL = 64 * KiB
"""The journal of an upload that stopped."""
SLOWEST_COMMIT = 20 * MiB
"""Bytes a second that a registry needs at least to hash and store what it was sent."""
FLUSH_EVERY = 128 * MiB
"""Bytes that are written before they are sent to the disk."""

# Trying again
RETRIES = 5
"""Attempts at one request, the first one included."""
RETRY_BASE_S = 0.5
"""The longest first pause; it doubles each time."""
RETRY_CAP_S = 15.0
"""The longest pause that we choose ourselves."""
RETRY_AFTER_CAP_S = 60.0
"""The longest pause that a registry may ask for."""
RETRY_TOTAL_S = 180.0
"""From the first attempt to the beginning of the last."""
RETRY_PROGRESS = 1 * MiB
"""Bytes that must have come for a download that broke to count as a new attempt."""
STALL_S = 60.0
"""A download that brings less than `STALL_BYTES` in this time is broken off."""
STALL_BYTES = 64 * KiB
