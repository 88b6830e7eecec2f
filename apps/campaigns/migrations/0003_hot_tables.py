"""The hot tables: range partitions by time-ordered id, no foreign keys, the few indexes that the queries need."""

from django.db import migrations

from ums_site import ids

CREATE = (
    ids.SQL_CREATE
    + """
CREATE TABLE campaigns_message (
    id bigint PRIMARY KEY,
    campaign_id bigint NOT NULL,
    recipient_id bigint,
    binding_id bigint,
    state text NOT NULL DEFAULT 'PLANNED',
    reason text NOT NULL DEFAULT '',
    step smallint NOT NULL DEFAULT 0,
    finished_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX message_campaign ON campaigns_message USING brin (campaign_id) WITH (pages_per_range = 32);
CREATE INDEX message_recipient ON campaigns_message (recipient_id);

CREATE TABLE campaigns_messagepayload (
    message_id bigint PRIMARY KEY,
    sealed bytea NOT NULL
) PARTITION BY RANGE (message_id);

CREATE TABLE campaigns_delivery (
    id bigint PRIMARY KEY,
    message_id bigint NOT NULL,
    campaign_id bigint NOT NULL,
    batch_id bigint NOT NULL,
    account_id bigint NOT NULL,
    recipient_id bigint,
    binding_id bigint NOT NULL,
    accepted_at timestamptz,
    first_intent_at timestamptz,
    held_until timestamptz,
    receipt_at timestamptz,
    epoch integer NOT NULL DEFAULT 0,
    step smallint NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    burnt smallint NOT NULL DEFAULT 0,
    crashes smallint NOT NULL DEFAULT 0,
    pieces smallint NOT NULL DEFAULT 0,
    solo boolean NOT NULL DEFAULT false,
    may_duplicate boolean NOT NULL DEFAULT false,
    call_ref bigint,
    cost numeric(12, 5),
    state text NOT NULL DEFAULT 'PENDING',
    reason text NOT NULL DEFAULT '',
    provider_key text NOT NULL DEFAULT '',
    provider_id text NOT NULL DEFAULT ''
) PARTITION BY RANGE (id);
CREATE INDEX delivery_campaign ON campaigns_delivery USING brin (campaign_id) WITH (pages_per_range = 32);
CREATE INDEX delivery_message ON campaigns_delivery (message_id);

CREATE TABLE campaigns_attempt (
    delivery_id bigint NOT NULL,
    number smallint NOT NULL,
    epoch integer NOT NULL,
    key text NOT NULL,
    intent_at timestamptz NOT NULL,
    outcome text NOT NULL DEFAULT '',
    code text NOT NULL DEFAULT '',
    words text NOT NULL DEFAULT '',
    provider_id text NOT NULL DEFAULT '',
    finished_at timestamptz,
    PRIMARY KEY (delivery_id, number)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE campaigns_receipt (
    delivery_id bigint NOT NULL,
    event_hash bigint NOT NULL,
    state text NOT NULL,
    code text NOT NULL DEFAULT '',
    words text NOT NULL DEFAULT '',
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, event_hash)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE campaigns_message_default PARTITION OF campaigns_message DEFAULT;
CREATE TABLE campaigns_messagepayload_default PARTITION OF campaigns_messagepayload DEFAULT;
CREATE TABLE campaigns_delivery_default PARTITION OF campaigns_delivery DEFAULT;
CREATE TABLE campaigns_attempt_default PARTITION OF campaigns_attempt DEFAULT;
CREATE TABLE campaigns_receipt_default PARTITION OF campaigns_receipt DEFAULT;
"""
)

DROP = (
    "DROP TABLE campaigns_receipt, campaigns_attempt, campaigns_delivery, campaigns_messagepayload, campaigns_message;"
    + ids.SQL_DROP
)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0002_links")]

    operations = [migrations.RunSQL(CREATE, DROP)]
