# SPDX-License-Identifier: Apache-2.0
"""A database that somebody has changed by hand.

harm.py complete DB: adds a fact of each kind that the life before had none of.
harm.py list DB: prints the names of all changes, one a line: each column of
    each row (of the facts: the first of each kind and every hold) with each
    value that it should not have, rows and tables that are missing or too many.
harm.py apply DB NAME: makes that change.
"""
import sqlite3
import struct
import sys

META, SUBJECT, HOLD, JOB, JTI, CREDENTIAL, FEED, POLICY, LIMIT, AGENDA = range(1, 11)
I64_MAX = 2**63 - 1


def text(s):
    return struct.pack(">H", len(s)) + s.encode()


def subject(edges=(), rows=(1, 2), wall=1790000000000):
    """A known, active agent, as of SUBJECT_FACT_VERSION 2; edges: (kind, uri)."""
    value = struct.pack(">BBBBQqq", 2, 0, 0x11, 1, 0, wall, wall) + text("") * 3
    value += struct.pack(">QQI", *rows, len(edges))
    for kind, uri in edges:
        value += struct.pack(">B", kind) + text(uri)
    return value + struct.pack(">I", 0)


def hold(since=1790000000000, due=0, tools=()):
    value = struct.pack(">BB", 1, 1) + text("operator") + text("suspended") + text("")
    value += struct.pack(">qqI", since, due, len(tools))
    return value + b"".join(text(t) for t in tools)


def base_of(db):
    row = db.execute("SELECT key FROM state WHERE kind=?", (SUBJECT,)).fetchone()
    if row is None:
        sys.exit("no subject is folded yet")
    return row[0].split(b"\0")[0]


def put(db, kind, key, value):
    db.execute("INSERT OR REPLACE INTO state VALUES(?,?,?)", (kind, key, value))


def complete(db):
    base = base_of(db)
    time = struct.pack(">q", 1790000000000)
    put(db, FEED, b"hr", b"\1\0")
    put(db, POLICY, b"config", b"\1" + struct.pack(">Q", 3) + bytes(32))
    put(db, LIMIT, b"suspend\0hr\0" + bytes(8), b"\1" + time)
    put(db, AGENDA, base + b"\0/Agents/alive",
        b"\1" + time * 2 + struct.pack(">IQ", 1, 7) + time)


# ---- changes of one column: from its value to another, or None

def column_changes():
    def bytes_only(change):
        return lambda v: change(v) if isinstance(v, bytes) else None
    changes = {
        "empty": bytes_only(lambda v: b""),
        "zeroed": bytes_only(lambda v: bytes(len(v))),
        "ones": bytes_only(lambda v: b"\xff" * len(v)),
        "half": bytes_only(lambda v: v[:len(v) // 2]),
        "longer": bytes_only(lambda v: v + b"\0"),
        "64 KiB": bytes_only(lambda v: v + b"A" * 65536),
        "3 MiB": bytes_only(lambda v: v + b"A" * (3 << 20)),
        "as text": lambda v: v.decode("latin-1") if isinstance(v, bytes) else "text",
        "as a number": bytes_only(lambda v: 7),
        "of the future": bytes_only(lambda v: b"\x63" + v[1:]),
    }
    for n in (0, -1, 11, I64_MAX, -I64_MAX - 1, 2**32 + 3, 253402300800000, -253402300800000):
        changes[f"= {n}"] = lambda v, n=n: n if isinstance(v, int) else None
    for at in (1, 2, 3, 8, 16, 24, 32):
        changes[f"ones at {at}"] = bytes_only(
            lambda v, at=at: v[:at] + b"\xff" * 8 + v[at + 8:] if len(v) > at + 8 else None)
    return changes


def harmed_rows(db):
    """(name, where, arguments, columns) of the rows that are harmed."""
    seen = set()
    for kind, key in db.execute("SELECT kind, key FROM state ORDER BY kind, key").fetchall():
        if kind in seen and kind not in (HOLD, META):
            continue
        seen.add(kind)
        name = f"state {kind} {key.decode('latin-1')!r}"
        yield name, "state", "kind=? AND key=?", (kind, key), ("kind", "key", "value")
    rows = [seq for seq, in db.execute("SELECT seq FROM journal ORDER BY seq")]
    for seq in rows[:1] + rows[-6:]:
        yield f"journal {seq}", "journal", "seq=?", (seq,), ("seq", "wall_ms", "body")
    yield "meta folded_seq", "meta", "name=?", ("folded_seq",), ("name", "value")


def change_column(db, table, where, at, column, change):
    value, = db.execute(f"SELECT {column} FROM {table} WHERE {where}", at).fetchone()
    now = change(value)
    if now is None or now == value:
        return False
    db.execute(f"UPDATE {table} SET {column}=? WHERE {where}", (now, *at))
    return True


# ---- changes of tables and rows that are too many

def in_schema(table, old, new):
    def change(db):
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_schema SET sql=replace(sql,?,?) WHERE name=?",
                   (old, new, table))
        db.execute("PRAGMA writable_schema=RESET")
    return change


def sql(*statements):
    def change(db):
        for s in statements:
            db.execute(s)
    return change


def facts(kind, rows):
    def change(db):
        for key, value in rows:
            put(db, kind, base_of(db) + b"\0" + key, value)
    return change


BOMB = "length(hex(zeroblob(400000000)))>0"
WHOLE = {
    "no table journal": sql("DROP TABLE journal"),
    "no table state": sql("DROP TABLE state"),
    "no table meta": sql("DROP TABLE meta"),
    "no meta": sql("DELETE FROM meta"),
    "more meta": sql("INSERT INTO meta VALUES('other', 1)"),
    "another table": sql("CREATE TABLE other(a)"),
    "a trigger": sql("CREATE TRIGGER t AFTER INSERT ON journal BEGIN DELETE FROM state; END"),
    "a trigger on facts": sql(
        "CREATE TRIGGER t AFTER INSERT ON state BEGIN DELETE FROM state WHERE kind=3; END"),
    "a view for a table": sql("ALTER TABLE state RENAME TO kept",
                              "CREATE VIEW state AS SELECT * FROM kept WHERE kind<>3"),
    "a virtual table for a table": sql(
        "ALTER TABLE journal RENAME TO kept",
        "CREATE VIRTUAL TABLE journal USING fts5(seq, wall_ms, body)"),
    "a generated column": sql(
        f"ALTER TABLE journal ADD COLUMN bomb AS (hex(zeroblob(400000000)))"),
    "an index with an expression": sql("CREATE INDEX i ON journal(length(body))"),
    "a constraint that computes": in_schema("state", "value BLOB NOT NULL",
                                            f"value BLOB NOT NULL CHECK({BOMB})"),
    "another order of columns": in_schema("state", "key BLOB NOT NULL,  value BLOB NOT NULL",
                                          "value BLOB NOT NULL,  key BLOB NOT NULL"),
    "a schema that is none": in_schema("state", "CREATE TABLE", "CREATE TABLE TABLE"),
    "statistics": sql("ANALYZE"),
    "version 0": sql("PRAGMA user_version=0"),
    "version -1": sql("PRAGMA user_version=-1"),
    "version 2": sql("PRAGMA user_version=2"),
    "another program": sql("PRAGMA application_id=1"),
    "parents in a circle": facts(SUBJECT, [
        (b"/Agents/x", subject([(2, "/Agents/y")])),
        (b"/Agents/y", subject([(2, "/Agents/x"), (2, "/Agents/y")]))]),
    "groups and owners in a circle": facts(SUBJECT, [
        (b"/Agents/x", subject([(0, "/Groups/g"), (1, "/Agents/x")])),
        (b"/Groups/g", subject([(0, "/Groups/g"), (1, "/Agents/x")]))]),
    "an edge to nothing known": facts(SUBJECT, [(b"/Agents/x", subject([(1, "../etc/passwd")]))]),
    "257 edges": facts(SUBJECT, [
        (b"/Agents/x", subject([(0, f"/Groups/{i}") for i in range(257)]))]),
    "read in a row to come": facts(SUBJECT, [(b"/Agents/x", subject(rows=(1, 2**40)))]),
    "told in the year 9999": facts(SUBJECT, [(b"/Agents/x", subject(wall=253402300800000))]),
    "200 holds of one agent": facts(HOLD, [
        (b"/Agents/x\0suspended\0operator\0c%d" % i, hold()) for i in range(200)]),
    "65 tools": facts(HOLD, [(b"/Agents/x\0suspended\0operator\0c",
                              hold(tools=[f"t{i}" for i in range(65)]))]),
    "a hold due before it was": facts(HOLD, [(b"/Agents/x\0review\0operator\0c",
                                              hold(due=-1))]),
    "a hold of no kind": facts(HOLD, [(b"/Agents/x\0nothing\0operator\0c", hold())]),
    "a hold of nobody": facts(HOLD, [(b"\0suspended\0operator\0c", hold())]),
    "no hold's rule": facts(HOLD, [(b"/Agents/x\0suspended", hold())]),
}


def all_changes(db):
    yield from ((name, change) for name, change in WHOLE.items())
    for row, table, where, at, columns in list(harmed_rows(db)):
        for column in columns:
            for name, change in column_changes().items():
                if row == "meta folded_seq" and name == "= 11":
                    continue  # it may be right, or look so
                yield f"{row}: {column} {name}", lambda d, c=change, t=table, w=where, a=at, \
                    k=column: change_column(d, t, w, a, k, c)
    for seq, in db.execute("SELECT seq FROM journal ORDER BY seq").fetchall():
        yield f"no journal row {seq}", sql(f"DELETE FROM journal WHERE seq={seq}")


def main():
    what, path = sys.argv[1:3]
    db = sqlite3.connect(path, isolation_level=None)
    if what == "complete":
        complete(db)
    elif what == "list":
        names = []
        for name, change in all_changes(db):
            db.execute("BEGIN")
            try:
                if change(db) is not False:
                    names.append(name)
            except (sqlite3.Error, UnicodeError):
                pass  # SQLite itself does not let anybody make this one
            db.execute("ROLLBACK")
        print("\n".join(names))
    else:
        dict(all_changes(db))[sys.argv[3]](db)
    db.close()


main()
