"""Budgets and quotas with their counters, and the function that refuses to count beyond a limit."""

import django.db.models.deletion
from django.db import migrations, models

WITHIN = """
CREATE FUNCTION within_allowance(wanted numeric, most numeric, allowance bigint) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    IF wanted > most THEN
        RAISE EXCEPTION 'allowance_full %', allowance;
    END IF;
    RETURN wanted;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("partners", "0003_what_a_line_holds_to"),
    ]

    operations = [
        migrations.CreateModel(
            name="Allowance",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="Callers over the API read it when it is used up.",
                        max_length=100,
                        verbose_name="name",
                    ),
                ),
                ("campaign_id", models.BigIntegerField(blank=True, null=True, verbose_name="campaign")),
                ("message_class", models.CharField(blank=True, max_length=20, verbose_name="class")),
                ("channel_kind", models.CharField(blank=True, max_length=40, verbose_name="channel kind")),
                (
                    "unit",
                    models.CharField(
                        choices=[("messages", "messages"), ("pieces", "pieces"), ("money", "money")],
                        max_length=10,
                        verbose_name="counts",
                    ),
                ),
                (
                    "period",
                    models.CharField(
                        choices=[("day", "day"), ("month", "month"), ("total", "for good")],
                        max_length=10,
                        verbose_name="in each",
                    ),
                ),
                (
                    "zone",
                    models.CharField(
                        default="Asia/Shanghai",
                        help_text="Where its day or month begins at midnight, such as Asia/Shanghai.",
                        max_length=50,
                        verbose_name="time zone",
                    ),
                ),
                ("most", models.DecimalField(decimal_places=5, max_digits=16, verbose_name="limit")),
                (
                    "currency",
                    models.CharField(
                        default="CNY", help_text="Of a limit of money.", max_length=3, verbose_name="currency"
                    ),
                ),
                (
                    "warn_at",
                    models.PositiveSmallIntegerField(
                        default=80,
                        help_text="Percent of the limit; from there on the console warns, once a period.",
                        verbose_name="warn at",
                    ),
                ),
                (
                    "wall",
                    models.CharField(
                        choices=[("hold", "wait for the next period"), ("refuse", "are called off")],
                        default="hold",
                        help_text="Calls over the API that find no room for their messages are refused in either case.",
                        max_length=10,
                        verbose_name="what finds no room",
                    ),
                ),
                ("active", models.BooleanField(default=True, verbose_name="active")),
                ("wake", models.BooleanField(default=False, editable=False)),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "business_line",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="allowances",
                        to="partners.businessline",
                        verbose_name="business line",
                    ),
                ),
            ],
            options={
                "verbose_name": "budget or quota",
                "verbose_name_plural": "budgets and quotas",
            },
        ),
        migrations.CreateModel(
            name="AllowanceUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("period", models.CharField(max_length=10)),
                ("used", models.DecimalField(decimal_places=5, default=0, max_digits=18)),
                ("warned_at", models.DateTimeField(null=True)),
                ("walled_at", models.DateTimeField(null=True)),
                ("wall_told_at", models.DateTimeField(null=True)),
                (
                    "allowance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="uses", to="partners.allowance"
                    ),
                ),
            ],
            options={
                "verbose_name": "use of a budget or quota",
                "verbose_name_plural": "uses of budgets and quotas",
            },
        ),
        migrations.AddIndex(
            model_name="allowance",
            index=models.Index(
                condition=models.Q(("campaign_id__isnull", False)), fields=["campaign_id"], name="allowance_campaign"
            ),
        ),
        migrations.AddIndex(
            model_name="allowance",
            index=models.Index(condition=models.Q(("wake", True)), fields=["id"], name="allowance_wake"),
        ),
        migrations.AddConstraint(
            model_name="allowance",
            constraint=models.CheckConstraint(
                condition=models.Q(("business_line__isnull", True), ("campaign_id__isnull", True), _connector="XOR"),
                name="allowance_of_line_or_campaign",
            ),
        ),
        migrations.AddConstraint(
            model_name="allowance",
            constraint=models.CheckConstraint(condition=models.Q(("most__gte", 0)), name="allowance_not_negative"),
        ),
        migrations.AddConstraint(
            model_name="allowanceuse",
            constraint=models.UniqueConstraint(fields=("allowance", "period"), name="allowance_use_once"),
        ),
        migrations.RunSQL(WITHIN, "DROP FUNCTION within_allowance(numeric, numeric, bigint)"),
    ]
