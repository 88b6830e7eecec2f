"""Limits for one address that hold for a class of messages are counted apart."""

from django.db import migrations

APART = """
ALTER TABLE campaigns_addressuse ADD COLUMN message_class text NOT NULL DEFAULT '';
ALTER TABLE campaigns_addressuse DROP CONSTRAINT campaigns_addressuse_pkey;
ALTER TABLE campaigns_addressuse ADD PRIMARY KEY (account_id, address_hash, message_class);
"""
TOGETHER = """
DELETE FROM campaigns_addressuse WHERE message_class <> '';
ALTER TABLE campaigns_addressuse DROP CONSTRAINT campaigns_addressuse_pkey;
ALTER TABLE campaigns_addressuse DROP COLUMN message_class;
ALTER TABLE campaigns_addressuse ADD PRIMARY KEY (account_id, address_hash);
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0019_schedules_and_quiet_hours")]

    operations = [migrations.RunSQL(APART, TOGETHER)]
