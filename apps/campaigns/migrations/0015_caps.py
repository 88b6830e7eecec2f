"""Frequency caps, duplicate guards, holdout groups, what was withheld, and the row in which contacts are counted."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import apps.campaigns.models.caps

# A person's row is written again and again: room for that in its page, and its toast kept small by trimming.
CONTACT = """
CREATE TYPE campaigns_contacted AS (
    at timestamptz, message_id bigint, content bigint, line bigint, class text, kind text, first boolean
);
CREATE TABLE campaigns_contact (
    subject bytea PRIMARY KEY,
    last_at timestamptz NOT NULL,
    contacts campaigns_contacted[] NOT NULL
) WITH (fillfactor = 70);
"""
NO_CONTACT = "DROP TABLE campaigns_contact; DROP TYPE campaigns_contacted;"
WITHHELD = """
CREATE TABLE campaigns_withheld (
    delivery_id bigint PRIMARY KEY,
    message_id bigint NOT NULL,
    campaign_id bigint NOT NULL,
    recipient_id bigint,
    account_id bigint NOT NULL,
    rule text NOT NULL,
    cap text NOT NULL DEFAULT '',
    pieces smallint NOT NULL,
    price numeric(12, 5) NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (delivery_id);
CREATE INDEX withheld_campaign ON campaigns_withheld (campaign_id, rule, cap);
CREATE TABLE campaigns_withheld_default PARTITION OF campaigns_withheld DEFAULT;
DO $$
DECLARE held record;
BEGIN
    FOR held IN
        SELECT right(c.relname, 8) AS day, pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'campaigns_message'::regclass AND c.relname ~ '_[0-9]{8}$'
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF campaigns_withheld %s', 'campaigns_withheld_' || held.day, held.bounds);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0014_offline_saved"),
        ("partners", "0002_what_a_key_may"),
    ]

    operations = [
        migrations.CreateModel(
            name="Withheld",
            fields=[
                ("delivery_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("message_id", models.BigIntegerField()),
                ("campaign_id", models.BigIntegerField()),
                ("recipient_id", models.BigIntegerField(null=True)),
                ("account_id", models.BigIntegerField()),
                ("rule", models.CharField(max_length=40, verbose_name="rule")),
                ("cap", models.CharField(default="", max_length=40, verbose_name="frequency cap")),
                ("pieces", models.SmallIntegerField(verbose_name="pieces")),
                ("price", models.DecimalField(decimal_places=5, max_digits=12, verbose_name="price")),
                ("at", models.DateTimeField(verbose_name="at")),
            ],
            options={
                "verbose_name": "message that would have been sent",
                "verbose_name_plural": "would have been sent",
                "db_table": "campaigns_withheld",
                "managed": False,
            },
        ),
        migrations.RunSQL(WITHHELD, "DROP TABLE campaigns_withheld"),
        migrations.RunSQL(
            CONTACT,
            NO_CONTACT,
            state_operations=[
                migrations.CreateModel(
                    name="Contact",
                    fields=[
                        ("subject", models.BinaryField(primary_key=True, serialize=False)),
                        ("last_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "campaigns_contact",
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="FrequencyCap",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.SlugField(max_length=40, unique=True, verbose_name="code")),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                (
                    "most",
                    models.PositiveIntegerField(
                        validators=[django.core.validators.MinValueValidator(1)], verbose_name="messages at most"
                    ),
                ),
                (
                    "span_count",
                    models.PositiveIntegerField(
                        default=1, validators=[django.core.validators.MinValueValidator(1)], verbose_name="in a span of"
                    ),
                ),
                (
                    "span_unit",
                    models.CharField(
                        choices=[
                            ("minutes", "minutes"),
                            ("hours", "hours"),
                            ("days", "days of 24 hours"),
                            ("weeks", "weeks"),
                            ("calendar_days", "calendar days"),
                        ],
                        default="days",
                        max_length=20,
                        verbose_name="unit",
                    ),
                ),
                (
                    "zone",
                    models.CharField(
                        default=apps.campaigns.models.caps.own_zone, max_length=50, verbose_name="time zone"
                    ),
                ),
                (
                    "classes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("marketing", "Marketing"),
                                ("transactional", "Notice"),
                                ("otp", "One-time password"),
                            ],
                            max_length=20,
                        ),
                        default=apps.campaigns.models.caps.marketing_only,
                        size=None,
                        verbose_name="classes",
                    ),
                ),
                (
                    "channel_kind",
                    models.CharField(blank=True, default="", max_length=40, verbose_name="kind of channel"),
                ),
                ("active", models.BooleanField(default=True, verbose_name="active")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "business_line",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="partners.businessline",
                        verbose_name="business line",
                    ),
                ),
            ],
            options={
                "verbose_name": "frequency cap",
                "verbose_name_plural": "frequency caps",
            },
        ),
        migrations.CreateModel(
            name="Holdout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                (
                    "percent",
                    models.DecimalField(
                        blank=True, decimal_places=2, max_digits=4, null=True, verbose_name="per cent of people"
                    ),
                ),
                ("tag", models.CharField(blank=True, default="", max_length=50, verbose_name="or people with the tag")),
                ("salt", models.CharField(max_length=32, verbose_name="salt")),
                (
                    "classes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("marketing", "Marketing"),
                                ("transactional", "Notice"),
                                ("otp", "One-time password"),
                            ],
                            max_length=20,
                        ),
                        default=apps.campaigns.models.caps.marketing_only,
                        size=None,
                        verbose_name="classes",
                    ),
                ),
                ("from_at", models.DateTimeField(verbose_name="from")),
                ("until_at", models.DateTimeField(blank=True, null=True, verbose_name="until")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "business_lines",
                    models.ManyToManyField(blank=True, to="partners.businessline", verbose_name="business lines"),
                ),
            ],
            options={
                "verbose_name": "holdout group",
                "verbose_name_plural": "holdout groups",
            },
        ),
        migrations.CreateModel(
            name="DuplicateGuard",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "message_class",
                    models.CharField(
                        choices=[("marketing", "Marketing"), ("transactional", "Notice"), ("otp", "One-time password")],
                        max_length=20,
                        verbose_name="class",
                    ),
                ),
                ("window_hours", models.PositiveIntegerField(verbose_name="hours")),
                (
                    "business_line",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="partners.businessline",
                        verbose_name="business line",
                    ),
                ),
            ],
            options={
                "verbose_name": "duplicate guard",
                "verbose_name_plural": "duplicate guards",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("business_line", "message_class"), name="duplicate_guard_once", nulls_distinct=False
                    )
                ],
            },
        ),
    ]
