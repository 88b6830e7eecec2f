"""Versions of policies that nothing changes, and what the smart order knows: per person and account, per class and account."""

import django.db.models.deletion
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

EXPERIENCE = """
CREATE TABLE campaigns_personexperience (
    recipient_id bigint NOT NULL, account_id bigint NOT NULL,
    tried real NOT NULL, delivered real NOT NULL, timed real NOT NULL, log_seconds real NOT NULL, at timestamptz NOT NULL,
    PRIMARY KEY (recipient_id, account_id)
) WITH (fillfactor = 85);
CREATE TABLE campaigns_classexperience (
    message_class text NOT NULL, account_id bigint NOT NULL,
    tried float8 NOT NULL, delivered float8 NOT NULL, timed float8 NOT NULL, log_seconds float8 NOT NULL,
    at timestamptz NOT NULL, PRIMARY KEY (message_class, account_id)
);
CREATE TABLE campaigns_experiencedue (
    batch_id bigint PRIMARY KEY, noted_at timestamptz NOT NULL, due_at timestamptz NOT NULL
);
CREATE INDEX experience_due ON campaigns_experiencedue (due_at);
CREATE TABLE campaigns_experiencemark (
    single boolean PRIMARY KEY DEFAULT true CHECK (single), batch_id bigint NOT NULL, looked_at timestamptz NOT NULL
);
INSERT INTO campaigns_experiencemark (batch_id, looked_at) VALUES (0, now());
"""
NO_EXPERIENCE = """
DROP TABLE campaigns_experiencemark, campaigns_experiencedue, campaigns_classexperience, campaigns_personexperience;
"""
KEEP = """
CREATE FUNCTION keep_policy_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of a policy is never changed or deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER policy_versions_stay BEFORE UPDATE OR DELETE ON campaigns_policyversion
    FOR EACH ROW EXECUTE FUNCTION keep_policy_versions();
"""
LET_GO = "DROP TRIGGER policy_versions_stay ON campaigns_policyversion; DROP FUNCTION keep_policy_versions();"
CLASSES = [("otp", "otp"), ("transactional", "transactional"), ("marketing", "marketing")]


def _weight(name, default, *validators, help_text=""):
    return models.FloatField(name, default=default, validators=list(validators), help_text=help_text)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0008_evidence")]

    operations = [
        migrations.AlterModelOptions(
            name="policy",
            options={
                "permissions": [("ask_what_if", "Can ask what a policy would do for a person")],
                "verbose_name": "policy",
                "verbose_name_plural": "policies",
            },
        ),
        migrations.AddField(
            model_name="policy",
            name="number",
            field=models.PositiveIntegerField(default=0, editable=False, verbose_name="version"),
        ),
        migrations.AddField(
            model_name="campaign",
            name="policy_number",
            field=models.PositiveIntegerField(default=0, verbose_name="version of the policy"),
        ),
        migrations.CreateModel(
            name="PolicyVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField(verbose_name="version")),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("plan", models.JSONField(verbose_name="plan")),
                ("saved_by", models.CharField(max_length=200, verbose_name="saved by")),
                ("saved_at", models.DateTimeField(verbose_name="saved at")),
                ("note", models.CharField(blank=True, max_length=200, verbose_name="what changed and why")),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="campaigns.policy",
                        verbose_name="policy",
                    ),
                ),
            ],
            options={
                "verbose_name": "version of a policy",
                "verbose_name_plural": "versions of policies",
                "constraints": [models.UniqueConstraint(fields=("policy", "number"), name="policyversion_once")],
            },
        ),
        migrations.RunSQL(KEEP, LET_GO),
        migrations.RunSQL(EXPERIENCE, NO_EXPERIENCE),
        migrations.CreateModel(
            name="PersonExperience",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "recipient_id", "account_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("recipient_id", models.BigIntegerField()),
                ("account_id", models.BigIntegerField()),
                ("tried", models.FloatField()),
                ("delivered", models.FloatField()),
                ("timed", models.FloatField()),
                ("log_seconds", models.FloatField()),
                ("at", models.DateTimeField()),
            ],
            options={"db_table": "campaigns_personexperience", "managed": False},
        ),
        migrations.CreateModel(
            name="ClassExperience",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "message_class", "account_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("message_class", models.CharField(max_length=20)),
                ("account_id", models.BigIntegerField()),
                ("tried", models.FloatField()),
                ("delivered", models.FloatField()),
                ("timed", models.FloatField()),
                ("log_seconds", models.FloatField()),
                ("at", models.DateTimeField()),
            ],
            options={"db_table": "campaigns_classexperience", "managed": False},
        ),
        migrations.CreateModel(
            name="SmartWeights",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "message_class",
                    models.CharField(blank=True, choices=CLASSES, max_length=20, unique=True, verbose_name="class"),
                ),
                ("reach", _weight("weight of reach", 60.0, MinValueValidator(0), MaxValueValidator(1000))),
                ("price", _weight("weight of price", 30.0, MinValueValidator(0), MaxValueValidator(1000))),
                ("speed", _weight("weight of speed", 10.0, MinValueValidator(0), MaxValueValidator(1000))),
                (
                    "strength",
                    _weight(
                        "strength of the class's rate",
                        4.0,
                        MinValueValidator(0.01),
                        MaxValueValidator(1000),
                        help_text="A person's own tries outweigh the class's rate once there are more of them than this.",
                    ),
                ),
                (
                    "class_strength",
                    _weight(
                        "strength of the assumed rate",
                        20.0,
                        MinValueValidator(0.01),
                        MaxValueValidator(1000),
                        help_text="A class's own tries outweigh the assumed rate once there are more of them than this.",
                    ),
                ),
                (
                    "prior_rate",
                    _weight(
                        "assumed delivered rate",
                        0.8,
                        MinValueValidator(0),
                        MaxValueValidator(1),
                        help_text="From 0 to 1; where nothing is known, and for channels that give no receipts.",
                    ),
                ),
                (
                    "half_seconds",
                    _weight(
                        "seconds that count half",
                        60.0,
                        MinValueValidator(0.1),
                        MaxValueValidator(86400),
                        help_text="A channel that typically takes so long earns half of what speed can earn.",
                    ),
                ),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
            ],
            options={
                "verbose_name": "weights of the smart order",
                "verbose_name_plural": "weights of the smart order",
            },
        ),
        migrations.CreateModel(
            name="Replay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("policy_name", models.CharField(max_length=120, verbose_name="policy")),
                ("plan", models.JSONField()),
                ("weights", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("WAITING", "waiting"),
                            ("RUNNING", "running"),
                            ("DONE", "done"),
                            ("FAILED", "failed"),
                        ],
                        default="WAITING",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("cursor", models.BigIntegerField(default=0)),
                ("seen", models.BigIntegerField(default=0)),
                ("figures", models.JSONField(default=dict)),
                ("fault", models.CharField(default="", max_length=200)),
                ("heartbeat_at", models.DateTimeField(null=True)),
                ("made_by", models.CharField(max_length=200, verbose_name="made by")),
                ("made_at", models.DateTimeField(verbose_name="made at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="campaigns.campaign", verbose_name="campaign"
                    ),
                ),
            ],
            options={
                "verbose_name": "replay",
                "verbose_name_plural": "replays",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["WAITING", "RUNNING"])), fields=["id"], name="replay_open"
                    )
                ],
            },
        ),
    ]
