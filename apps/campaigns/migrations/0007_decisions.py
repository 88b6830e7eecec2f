"""The decision ledger: append-only, a partition a day, found over a BRIN index."""

from django.db import migrations, models

CREATE = """
CREATE TABLE campaigns_decision (
    message_id bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    step smallint NOT NULL DEFAULT 0,
    rule text NOT NULL,
    verdict text NOT NULL,
    detail text NOT NULL DEFAULT ''
) PARTITION BY RANGE (message_id);
CREATE INDEX decision_message ON campaigns_decision USING brin (message_id int8_minmax_multi_ops) WITH (pages_per_range = 16);
CREATE TABLE campaigns_decision_default PARTITION OF campaigns_decision DEFAULT;
DO $$
DECLARE held record;
BEGIN
    FOR held IN
        SELECT right(c.relname, 8) AS day, pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'campaigns_message'::regclass AND c.relname ~ '_[0-9]{8}$'
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF campaigns_decision %s', 'campaigns_decision_' || held.day, held.bounds);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0006_recall")]

    operations = [
        migrations.RunSQL(CREATE, "DROP TABLE campaigns_decision"),
        migrations.CreateModel(
            name="Decision",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "message_id", "at", "rule", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("message_id", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                ("step", models.SmallIntegerField(default=0)),
                ("rule", models.CharField(max_length=40)),
                ("verdict", models.CharField(max_length=10)),
                ("detail", models.CharField(default="", max_length=400)),
            ],
            options={
                "verbose_name": "decision",
                "verbose_name_plural": "decisions",
                "db_table": "campaigns_decision",
                "managed": False,
            },
        ),
    ]
