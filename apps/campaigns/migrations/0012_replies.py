"""Replies and their words; a message that names an address without a person is found by it, so that answers find theirs."""

import django.db.models.deletion
from django.db import migrations, models

INDEX = "CREATE INDEX message_binding ON campaigns_message (binding_id) WHERE binding_id IS NOT NULL;"


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0011_money"),
        ("partners", "0004_allowances"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReplyWord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("word", models.CharField(max_length=40, unique=True, verbose_name="word")),
                (
                    "meaning",
                    models.CharField(
                        choices=[
                            ("unsubscribe", "unsubscribe"),
                            ("subscribe", "subscribe again"),
                            ("complaint", "complaint"),
                        ],
                        max_length=12,
                        verbose_name="meaning",
                    ),
                ),
                (
                    "whole",
                    models.BooleanField(
                        default=True,
                        help_text="The answer is this word and nothing else; otherwise the word is found anywhere in it.",
                        verbose_name="the whole answer",
                    ),
                ),
            ],
            options={
                "verbose_name": "reply word",
                "verbose_name_plural": "reply words",
            },
        ),
        migrations.CreateModel(
            name="Reply",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account_id", models.BigIntegerField()),
                ("event_key", models.BinaryField()),
                ("address_kind", models.CharField(max_length=20, verbose_name="address kind")),
                ("address_hash", models.BinaryField(null=True)),
                ("address_masked", models.CharField(max_length=200, verbose_name="address")),
                ("sealed", models.BinaryField()),
                ("extension", models.CharField(blank=True, max_length=40, verbose_name="written to")),
                (
                    "meaning",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("unsubscribe", "unsubscribe"),
                            ("subscribe", "subscribe again"),
                            ("complaint", "complaint"),
                        ],
                        max_length=12,
                        verbose_name="meaning",
                    ),
                ),
                ("word", models.CharField(blank=True, max_length=40, verbose_name="word")),
                ("complaint", models.BooleanField(default=False, verbose_name="complaint")),
                (
                    "deed",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "nothing"),
                            ("unsubscribed", "unsubscribed"),
                            ("subscribed", "subscribed again"),
                            ("overtaken", "nothing: a later answer counts"),
                        ],
                        max_length=12,
                        verbose_name="done",
                    ),
                ),
                ("recipient_id", models.BigIntegerField(null=True)),
                ("campaign_id", models.BigIntegerField(null=True)),
                ("message_id", models.BigIntegerField(null=True)),
                ("occurred_at", models.DateTimeField(verbose_name="written at")),
                ("received_at", models.DateTimeField(verbose_name="received at")),
                ("handled_at", models.DateTimeField(null=True)),
                (
                    "business_line",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="partners.businessline",
                        verbose_name="business line",
                    ),
                ),
            ],
            options={
                "verbose_name": "reply",
                "verbose_name_plural": "replies",
                "permissions": [("read_reply", "Can read what people answered")],
                "indexes": [
                    models.Index(condition=models.Q(("handled_at__isnull", True)), fields=["id"], name="reply_waiting"),
                    models.Index(fields=["address_hash", "-id"], name="reply_address"),
                    models.Index(
                        condition=models.Q(("complaint", True)), fields=["received_at"], name="reply_complaint"
                    ),
                ],
                "constraints": [models.UniqueConstraint(fields=("account_id", "event_key"), name="reply_once")],
            },
        ),
        migrations.RunSQL(INDEX, "DROP INDEX message_binding"),
    ]
