"""Stop switches, rules by which campaigns pause themselves, canaries; the classes that may wait begin with a rule."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0017_account_trouble"),
    ]

    operations = [
        migrations.CreateModel(
            name="PauseRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "message_class",
                    models.CharField(
                        choices=[("marketing", "Marketing"), ("transactional", "Notice"), ("otp", "One-time password")],
                        max_length=20,
                        unique=True,
                        verbose_name="class",
                    ),
                ),
                ("active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "at_least",
                    models.PositiveIntegerField(
                        default=100,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="tries at least",
                    ),
                ),
                (
                    "minutes",
                    models.PositiveIntegerField(
                        default=5,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(60),
                        ],
                        verbose_name="in so many minutes",
                    ),
                ),
                (
                    "failed_percent",
                    models.DecimalField(
                        decimal_places=2,
                        default=10,
                        max_digits=5,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="definite failures, percent",
                    ),
                ),
                (
                    "unknown_percent",
                    models.DecimalField(
                        decimal_places=2,
                        default=1,
                        max_digits=5,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="unknown outcomes, percent",
                    ),
                ),
                (
                    "complaints",
                    models.PositiveIntegerField(
                        default=10,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="complaints by reply, at least",
                    ),
                ),
            ],
            options={
                "verbose_name": "pause rule",
                "verbose_name_plural": "pause rules",
            },
        ),
        migrations.AddField(
            model_name="campaign",
            name="canary_judge_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="campaign",
            name="canary_left",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="campaign",
            name="canary_seconds",
            field=models.PositiveIntegerField(
                db_default=120, default=120, verbose_name="seconds until the canary is judged"
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="canary_size",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="canary, sends that go first"),
        ),
        migrations.AddField(
            model_name="campaign",
            name="pause_reason",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=200, verbose_name="why it is paused"
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="paused_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=200, verbose_name="paused by"),
        ),
        migrations.AddField(
            model_name="campaign",
            name="resume_to",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
        migrations.AddField(
            model_name="campaign",
            name="resumed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="Pulse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("campaign_id", models.BigIntegerField()),
                ("minute", models.DateTimeField()),
                ("tried", models.IntegerField(default=0)),
                ("failed", models.IntegerField(default=0)),
                ("unknown", models.IntegerField(default=0)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("campaign_id", "minute"), name="pulse_once")],
            },
        ),
        migrations.CreateModel(
            name="StopSwitch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("everything", "everything"),
                            ("business_line", "a business line"),
                            ("class", "a class of messages"),
                            ("channel", "a kind of channel"),
                            ("account", "a channel account"),
                            ("template", "a message template"),
                        ],
                        max_length=20,
                        verbose_name="what is stopped",
                    ),
                ),
                ("key", models.CharField(blank=True, default="", max_length=60)),
                ("label", models.CharField(blank=True, default="", max_length=200, verbose_name="which")),
                ("reason", models.CharField(max_length=200, verbose_name="reason")),
                ("set_by", models.CharField(max_length=200, verbose_name="set by")),
                ("set_at", models.DateTimeField(verbose_name="set at")),
                ("until", models.DateTimeField(blank=True, null=True, verbose_name="ends by itself at")),
                ("released_by", models.CharField(blank=True, default="", max_length=200, verbose_name="released by")),
                ("released_at", models.DateTimeField(null=True, verbose_name="released at")),
            ],
            options={
                "verbose_name": "stop switch",
                "verbose_name_plural": "stop switches",
                "indexes": [
                    models.Index(
                        condition=models.Q(("released_at__isnull", True)),
                        fields=["scope", "key"],
                        name="stopswitch_set",
                    )
                ],
            },
        ),
        migrations.AlterField(
            model_name="campaign",
            name="pace_per_second",
            field=models.DecimalField(
                blank=True, decimal_places=6, max_digits=13, null=True, verbose_name="pace per second"
            ),
        ),
        migrations.RunSQL(
            "INSERT INTO campaigns_pauserule (message_class, active, at_least, minutes, failed_percent, unknown_percent, complaints) "
            "VALUES ('marketing', true, 100, 5, 10, 1, 10), ('transactional', true, 100, 5, 10, 1, 10)",
            migrations.RunSQL.noop,
        ),
    ]
