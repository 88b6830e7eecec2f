"""Of several blacklist entries for one subject and scope the newest stays: from the next migration on there can be one only."""

from django.db import migrations

DROP_OLDER = """
DELETE FROM users_blacklistentry older USING users_blacklistentry newer
WHERE newer.id > older.id AND newer.scope = older.scope AND newer.scope_id = older.scope_id
  AND newer.recipient_id IS NOT DISTINCT FROM older.recipient_id
  AND newer.address_hash IS NOT DISTINCT FROM older.address_hash
"""


class Migration(migrations.Migration):
    dependencies = [("users", "0005_every_channel")]

    operations = [migrations.RunSQL(DROP_OLDER, migrations.RunSQL.noop)]
