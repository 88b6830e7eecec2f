"""Schedules and their runs, working-day calendars, quiet hours."""

import datetime

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0018_stops"),
        ("partners", "0005_key_approves"),
        ("templates", "0004_sensitive_words"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Calendar",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True, verbose_name="name")),
                (
                    "weekend",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SmallIntegerField(
                            choices=[
                                (0, "Monday"),
                                (1, "Tuesday"),
                                (2, "Wednesday"),
                                (3, "Thursday"),
                                (4, "Friday"),
                                (5, "Saturday"),
                                (6, "Sunday"),
                            ]
                        ),
                        default=list,
                        size=None,
                        verbose_name="days off each week",
                    ),
                ),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
            ],
            options={
                "verbose_name": "calendar",
                "verbose_name_plural": "calendars",
            },
        ),
        migrations.CreateModel(
            name="BatchWait",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("batch_id", models.BigIntegerField()),
                ("code", models.CharField(max_length=40)),
                ("at", models.DateTimeField()),
                ("until", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("batch_id", "code", "until"), name="batchwait_once")],
            },
        ),
        migrations.CreateModel(
            name="QuietHours",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("active", models.BooleanField(default=True, verbose_name="in force")),
                (
                    "classes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=20), size=None, verbose_name="classes"
                    ),
                ),
                (
                    "region",
                    models.CharField(
                        blank=True,
                        help_text="The value of people's region attribute; for them it stands in place of the rules without a region. Empty: everybody.",
                        max_length=60,
                        verbose_name="region",
                    ),
                ),
                ("since", models.TimeField(verbose_name="from")),
                (
                    "until",
                    models.TimeField(
                        help_text="Before “from”: it ends the next day. Equal: the whole day.", verbose_name="until"
                    ),
                ),
                ("zone", models.CharField(default="Asia/Shanghai", max_length=60, verbose_name="time zone")),
                (
                    "days",
                    models.CharField(
                        choices=[
                            ("every", "the weekdays chosen"),
                            ("working", "working days of the calendar"),
                            ("off", "days off of the calendar"),
                        ],
                        default="every",
                        max_length=10,
                        verbose_name="begin on",
                    ),
                ),
                (
                    "weekdays",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SmallIntegerField(
                            choices=[
                                (0, "Monday"),
                                (1, "Tuesday"),
                                (2, "Wednesday"),
                                (3, "Thursday"),
                                (4, "Friday"),
                                (5, "Saturday"),
                                (6, "Sunday"),
                            ]
                        ),
                        blank=True,
                        default=list,
                        size=None,
                        verbose_name="weekdays",
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[("defer", "wait until they end"), ("drop", "do not send at all")],
                        default="defer",
                        max_length=10,
                        verbose_name="what would go meanwhile",
                    ),
                ),
                (
                    "business_line",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: every business line.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="partners.businessline",
                        verbose_name="business line",
                    ),
                ),
                (
                    "calendar",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="campaigns.calendar",
                        verbose_name="calendar",
                    ),
                ),
            ],
            options={
                "verbose_name": "quiet hours",
                "verbose_name_plural": "quiet hours",
            },
        ),
        migrations.CreateModel(
            name="Schedule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=150, verbose_name="name")),
                (
                    "state",
                    models.CharField(
                        choices=[("ACTIVE", "active"), ("PAUSED", "paused"), ("ENDED", "ended")],
                        default="ACTIVE",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("cron", models.CharField(max_length=100, verbose_name="when")),
                ("zone", models.CharField(default="Asia/Shanghai", max_length=60, verbose_name="time zone")),
                (
                    "on_day_off",
                    models.CharField(
                        choices=[
                            ("send", "send all the same"),
                            ("skip", "leave it out"),
                            ("next", "on the next working day"),
                            ("previous", "on the working day before"),
                        ],
                        default="send",
                        max_length=10,
                        verbose_name="on a day off",
                    ),
                ),
                (
                    "catch_up",
                    models.CharField(
                        choices=[
                            ("none", "nothing that is late"),
                            ("latest", "the latest one only"),
                            ("all", "each one"),
                        ],
                        default="latest",
                        max_length=10,
                        verbose_name="made up for",
                    ),
                ),
                (
                    "misfire_grace",
                    models.DurationField(default=datetime.timedelta(seconds=3600), verbose_name="made up for within"),
                ),
                ("starts_at", models.DateTimeField(blank=True, null=True, verbose_name="from")),
                ("ends_at", models.DateTimeField(blank=True, null=True, verbose_name="until")),
                (
                    "message_class",
                    models.CharField(
                        choices=[("otp", "otp"), ("transactional", "transactional"), ("marketing", "marketing")],
                        max_length=20,
                        verbose_name="class",
                    ),
                ),
                ("audience", models.JSONField(verbose_name="audience")),
                (
                    "pace_per_second",
                    models.DecimalField(
                        blank=True, decimal_places=6, max_digits=13, null=True, verbose_name="pace per second"
                    ),
                ),
                ("expires_after", models.DurationField(blank=True, null=True, verbose_name="expires after")),
                ("after_at", models.DateTimeField()),
                ("next_at", models.DateTimeField(null=True, verbose_name="next")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "business_line",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="partners.businessline",
                        verbose_name="business line",
                    ),
                ),
                (
                    "calendar",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="campaigns.calendar",
                        verbose_name="calendar",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="created by",
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="campaigns.policy", verbose_name="policy"
                    ),
                ),
                (
                    "template",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="templates.messagetemplate",
                        verbose_name="message template",
                    ),
                ),
                (
                    "template_version",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="templates.templateversion",
                        verbose_name="template version",
                    ),
                ),
            ],
            options={
                "verbose_name": "schedule",
                "verbose_name_plural": "schedules",
            },
        ),
        migrations.CreateModel(
            name="ScheduleRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("occurrence_local", models.CharField(max_length=16, verbose_name="occurrence")),
                ("nominal_at", models.DateTimeField(verbose_name="due at")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("started", "started"),
                            ("skipped", "left out"),
                            ("missed", "missed"),
                            ("failed", "failed"),
                        ],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("why", models.CharField(blank=True, max_length=300, verbose_name="why")),
                ("note", models.CharField(blank=True, max_length=10)),
                ("lateness", models.DurationField(null=True, verbose_name="late by")),
                ("at", models.DateTimeField(verbose_name="handled at")),
                (
                    "campaign",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="campaigns.campaign",
                        verbose_name="campaign",
                    ),
                ),
                (
                    "schedule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="campaigns.schedule",
                        verbose_name="schedule",
                    ),
                ),
            ],
            options={
                "verbose_name": "run",
                "verbose_name_plural": "runs",
            },
        ),
        migrations.CreateModel(
            name="CalendarDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(verbose_name="day")),
                ("working", models.BooleanField(verbose_name="worked")),
                ("name", models.CharField(blank=True, max_length=100, verbose_name="name")),
                (
                    "calendar",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="days",
                        to="campaigns.calendar",
                        verbose_name="calendar",
                    ),
                ),
            ],
            options={
                "verbose_name": "special day",
                "verbose_name_plural": "special days",
                "ordering": ["day"],
                "constraints": [models.UniqueConstraint(fields=("calendar", "day"), name="calendarday_once")],
            },
        ),
        migrations.AddIndex(
            model_name="schedule",
            index=models.Index(condition=models.Q(("state", "ACTIVE")), fields=["next_at"], name="schedule_due"),
        ),
        migrations.AddConstraint(
            model_name="schedulerun",
            constraint=models.UniqueConstraint(fields=("schedule", "occurrence_local"), name="schedulerun_once"),
        ),
    ]
