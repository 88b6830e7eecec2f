"""Offline-saved messages, and what makes them due when an address of their person comes or comes back.

A trigger, because addresses are written by imports, by the API, by hooks and by hand, and none of them knows of campaigns. It
runs once a statement and looks up whom it brought in an index of those who are waited for.
"""

from django.db import migrations, models
from django.db.models import Q

CREATE = """
CREATE FUNCTION campaigns_address_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE campaigns_savedmessage s SET due_at = now()
    FROM (SELECT DISTINCT recipient_id FROM came WHERE state = 'ACTIVE' AND recipient_id IS NOT NULL) n
    WHERE s.recipient_id = n.recipient_id AND s.state = 'SAVED' AND (s.due_at IS NULL OR s.due_at > now());
    RETURN NULL;
END $$;
CREATE TRIGGER address_came AFTER INSERT ON users_binding REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION campaigns_address_came();
CREATE TRIGGER address_came_back AFTER UPDATE ON users_binding REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION campaigns_address_came();
"""
DROP = """
DROP TRIGGER address_came ON users_binding;
DROP TRIGGER address_came_back ON users_binding;
DROP FUNCTION campaigns_address_came();
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0013_reply_words"), ("users", "0005_every_channel")]

    operations = [
        migrations.CreateModel(
            name="SavedMessage",
            fields=[
                ("message_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("recipient_id", models.BigIntegerField()),
                ("lane", models.CharField(max_length=10)),
                ("step", models.SmallIntegerField(default=0)),
                ("collapse_key", models.CharField(blank=True, default="", max_length=60, verbose_name="collapse key")),
                (
                    "why",
                    models.CharField(
                        choices=[
                            ("no_usable_address", "no usable address"),
                            ("offline", "the device was offline and the provider keeps nothing"),
                        ],
                        max_length=20,
                        verbose_name="why",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("SAVED", "kept"),
                            ("RELEASED", "released"),
                            ("EXPIRED", "expired"),
                            ("DISCARDED", "discarded"),
                            ("MERGED", "replaced by a newer one"),
                            ("OVER", "no longer needed"),
                        ],
                        default="SAVED",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("released_by", models.CharField(blank=True, default="", max_length=200, verbose_name="released by")),
                ("saved_at", models.DateTimeField(verbose_name="kept since")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                ("due_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True, verbose_name="ended at")),
                (
                    "campaign",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.PROTECT,
                        to="campaigns.campaign",
                        verbose_name="campaign",
                    ),
                ),
            ],
            options={
                "verbose_name": "offline-saved message",
                "verbose_name_plural": "offline-saved messages",
                "permissions": [("decide_saved", "Can release and discard offline-saved messages")],
                "indexes": [
                    models.Index(fields=["recipient_id"], name="saved_person", condition=Q(state="SAVED")),
                    models.Index(
                        fields=["lane", "due_at"], name="saved_due", condition=Q(state="SAVED", due_at__isnull=False)
                    ),
                    models.Index(fields=["expires_at"], name="saved_expiry", condition=Q(state="SAVED")),
                    models.Index(fields=["campaign"], name="saved_campaign"),
                ],
            },
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
