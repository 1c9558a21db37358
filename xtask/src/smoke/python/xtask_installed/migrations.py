"""Do Dagster's migrations of its databases lead to one end, and do they run?

With the tree's own alembic and SQLAlchemy, on SQLite databases in memory: an empty one, and one whose
tables are as of 2020. The latter is made by taking today's tables back, as far as upstream's own
downgrades go on SQLite; afterwards it must have every column of today's again. Where a release does not go
back, the empty database is what there is, and the answer says so.
"""

import os
import traceback

LOCATION = "dagster:_core/storage/alembic"
# The last that can be taken back on SQLite: the one before needs a column that an index is on.
OLD = "9483999bad92"


def tables():
    from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
    from dagster._core.storage.runs.schema import RunStorageSqlMetadata
    from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata

    return [RunStorageSqlMetadata, SqlEventLogStorageMetadata, ScheduleStorageSqlMetadata]


def columns(connection):
    import sqlalchemy

    seen = sqlalchemy.inspect(connection)
    return {
        "%s.%s" % (table, column["name"])
        for table in seen.get_table_names() for column in seen.get_columns(table)
    }


def commit(connection):
    # Versions before 2.0 of SQLAlchemy commit by themselves.
    if hasattr(connection, "commit") and connection.in_transaction():
        connection.commit()


def culprit(error):
    """The migration in which something was raised, and what."""
    frames = traceback.extract_tb(error.__traceback__)
    files = [frame.filename for frame in frames if "/alembic/versions/" in frame.filename]
    words = " ".join(("%s: %s" % (type(error).__name__, error)).split())
    return "`%s`%s" % (words[:300], " in `%s`" % os.path.basename(files[-1]) if files else "")


class Database:
    """One that is there as long as its connection is."""

    def __init__(self, config, name):
        import sqlalchemy

        self.config, self.name = config, name
        self.connection = sqlalchemy.create_engine("sqlite://").connect()

    def run(self, command, revision):
        """Runs a command of alembic's; the error that it raised."""
        self.config.attributes["connection"] = self.connection
        try:
            command(self.config, revision)
            commit(self.connection)
        except Exception as error:
            traceback.print_exc()
            return error
        return None

    def upgrade(self):
        from alembic.command import upgrade

        error = self.run(upgrade, "head")
        what = "upgrade of %s" % self.name
        return [[what, "it to reach the last migration", culprit(error)]] if error else []

    def create(self):
        for metadata in tables():
            metadata.create_all(self.connection)
        commit(self.connection)

    def take_back(self):
        from alembic.command import downgrade, stamp

        return self.run(stamp, "head") or self.run(downgrade, OLD)


def old(config):
    """Upgrades a database as of 2020; how that went, in words, or problems."""
    database = Database(config, "a database of 2020")
    database.create()
    wanted = columns(database.connection)
    error = database.take_back()
    if error:
        return "an empty database only: there is no way back, %s" % culprit(error), []
    count = len(wanted - columns(database.connection))
    problems = database.upgrade()
    missing = sorted(wanted - columns(database.connection))
    if missing and not problems:
        named = ", ".join("`%s`" % name for name in missing[:3])
        problems = [["columns of %s after its upgrade" % database.name, "those of a new one",
                     "%d not there: %s" % (len(missing), named)]]
    return "an empty database and one that lacks %d columns" % count, problems


def check(task):
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from dagster import DagsterInstance
    from dagster._core.storage.migration.utils import upgrading_instance

    config = Config()
    config.set_main_option("script_location", LOCATION)
    scripts = ScriptDirectory.from_config(config)
    heads = scripts.get_heads()
    if len(heads) != 1:
        words = "%d: %s" % (len(heads), ", ".join("`%s`" % head for head in sorted(heads)))
        return None, [["last migrations", "one", words]]
    count = sum(1 for _ in scripts.walk_revisions())
    with DagsterInstance.ephemeral() as instance, upgrading_instance(instance):
        problems = Database(config, "an empty database").upgrade()
        words, problems = (None, problems) if problems else old(config)
    return "%d up to `%s`, on %s" % (count, heads[0], words), problems
