"""The tables as queries see them. Their shape in the database is made by migrations.py alone.

Facts are only ever added: audio, provenance, judgement, label, skip, tombstone, readmission, audit.
`clip` and `turn` are worked out from the facts (derive.py), so that a queue page is an index range.
"""

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, Table, Text

metadata = MetaData()

audio = Table(
    "audio",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("bytes", BigInteger),
    Column("suffix", Text),
    Column("added", Text),
)

#: What is known of a clip beside its bytes; a later row fills in or corrects an earlier one.
provenance = Table(
    "provenance",
    metadata,
    Column("id", Text, primary_key=True),
    Column("audio_sha256", Text),
    Column("name", Text),
    Column("source", Text),
    Column("speaker", Text),
    Column("licence", Text),
    Column("added_by", Text),
    Column("created", Text),
)

judgement = Table(
    "judgement",
    metadata,
    Column("id", Text, primary_key=True),
    Column("audio_sha256", Text),
    Column("versions", Text),
    Column("scores", Text),
    Column("windows", Text),
    Column("seconds", Float),
    Column("created", Text),
)

label = Table(
    "label",
    metadata,
    Column("id", Text, primary_key=True),
    Column("audio_sha256", Text),
    Column("annotator", Text),
    Column("label", Text),
    Column("confidence", Integer),
    Column("regions", Text),
    Column("attack", Text),
    Column("note", Text),
    Column("consent", Integer),
    Column("licence", Text),
    Column("versions", Text),
    Column("scores", Text),
    Column("blind", Integer),
    Column("created", Text),
    Column("supersedes", Text),
    Column("kind", Text),
    Column("adjudication", Integer),
)

#: One row for each time that somebody skipped a clip (skipped = 1) or took that back (0).
skip = Table(
    "skip",
    metadata,
    Column("id", Text, primary_key=True),
    Column("audio_sha256", Text),
    Column("annotator", Text),
    Column("skipped", Integer),
    Column("created", Text),
)

tombstone = Table(
    "tombstone",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sha256", Text),
    Column("bytes", BigInteger),
    Column("labels", Integer),
    Column("annotators", Integer),
    Column("requested_by", Text),
    Column("reason", Text),
    Column("created", Text),
)

#: The bytes of a tombstone may come back: somebody said so.
readmission = Table(
    "readmission",
    metadata,
    Column("tombstone", Text, primary_key=True),
    Column("requested_by", Text),
    Column("reason", Text),
    Column("created", Text),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created", Text),
    Column("who", Text),
    Column("action", Text),
    Column("audio_sha256", Text),
    Column("label_id", Text),
    Column("detail", Text),
)

#: A clip as the queue sees it. uncertainty is -1 while no judgement is there: such clips come last.
clip = Table(
    "clip",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("name", Text),
    Column("suffix", Text),
    Column("bytes", BigInteger),
    Column("added", Text),
    Column("source", Text),
    Column("speaker", Text),
    Column("licence", Text),
    Column("judgement_id", Text),
    Column("uncertainty", Float),
    Column("disagreement", Float),
    Column("labels", Integer),
    Column("disputed", Integer),
)

#: What one person (records.person_of) has done with one clip. labels: how many current ones.
turn = Table(
    "turn",
    metadata,
    Column("person", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("labels", Integer),
    Column("skipped", Integer),
)

#: Facts of one clip that go when it is deleted; `audio`, which they refer to, goes last.
CLIP_FACTS = (label, judgement, provenance, skip)
