"""Recall: what is ordered to be taken back, and what became of each delivery of it; every day gets its partition."""

import django.db.models.deletion
from django.db import migrations, models

CREATE = """
CREATE TABLE campaigns_recall (
    delivery_id bigint PRIMARY KEY,
    message_id bigint NOT NULL,
    campaign_id bigint NOT NULL,
    batch_id bigint NOT NULL,
    account_id bigint NOT NULL,
    until timestamptz NOT NULL,
    ordered_at timestamptz NOT NULL,
    asked_at timestamptz,
    done_at timestamptz,
    tries smallint NOT NULL DEFAULT 0,
    provider_id text NOT NULL,
    state text NOT NULL,
    code text NOT NULL DEFAULT '',
    words text NOT NULL DEFAULT ''
) PARTITION BY RANGE (delivery_id);
CREATE INDEX recall_campaign ON campaigns_recall USING brin (campaign_id) WITH (pages_per_range = 32);
CREATE TABLE campaigns_recall_default PARTITION OF campaigns_recall DEFAULT;
DO $$
DECLARE held record;
BEGIN
    FOR held IN
        SELECT right(c.relname, 8) AS day, pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'campaigns_delivery'::regclass AND c.relname ~ '_[0-9]{8}$'
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF campaigns_recall %s', 'campaigns_recall_' || held.day, held.bounds);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0005_address_space")]

    operations = [
        migrations.RunSQL(CREATE, "DROP TABLE campaigns_recall"),
        migrations.AddField("batch", "recall_at", models.DateTimeField(null=True)),
        migrations.AddIndex(
            "batch",
            models.Index(condition=models.Q(("recall_at__isnull", False)), fields=["recall_at"], name="batch_recall"),
        ),
        migrations.AlterModelOptions(
            "campaign",
            {
                "permissions": [("send_campaign", "Can send a campaign"), ("recall", "Can take back what was sent")],
                "verbose_name": "campaign",
                "verbose_name_plural": "campaigns",
            },
        ),
        migrations.CreateModel(
            name="RecallOrder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("message_id", models.BigIntegerField(default=0)),
                ("reason", models.CharField(max_length=200, verbose_name="reason")),
                ("actor", models.CharField(max_length=200)),
                ("ordered_at", models.DateTimeField()),
                (
                    "campaign",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="campaigns.campaign"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("campaign", "message_id"), name="recallorder_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Recall",
            fields=[
                ("delivery_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("message_id", models.BigIntegerField()),
                ("campaign_id", models.BigIntegerField()),
                ("batch_id", models.BigIntegerField()),
                ("account_id", models.BigIntegerField()),
                ("provider_id", models.CharField(max_length=100)),
                ("state", models.CharField(max_length=10)),
                ("code", models.CharField(default="", max_length=100)),
                ("words", models.CharField(default="", max_length=200)),
                ("tries", models.SmallIntegerField(default=0)),
                ("until", models.DateTimeField()),
                ("ordered_at", models.DateTimeField()),
                ("asked_at", models.DateTimeField(null=True)),
                ("done_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "campaigns_recall", "managed": False},
        ),
    ]
