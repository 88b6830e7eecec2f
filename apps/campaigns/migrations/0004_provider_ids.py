"""Provider's ids of accepted calls, for the kinds whose receipts carry nothing else; one row per part of a long message."""

from django.db import migrations

CREATE = """
CREATE TABLE campaigns_providerid (
    delivery_id bigint NOT NULL,
    provider_id text NOT NULL,
    account_id bigint NOT NULL,
    number smallint NOT NULL,
    part smallint NOT NULL,
    parts smallint NOT NULL,
    state text NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, provider_id, part)
) PARTITION BY RANGE (delivery_id);
CREATE INDEX providerid_provider_id ON campaigns_providerid (provider_id);
CREATE TABLE campaigns_providerid_default PARTITION OF campaigns_providerid DEFAULT;
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0003_hot_tables")]

    operations = [migrations.RunSQL(CREATE, "DROP TABLE campaigns_providerid")]
