"""Whitelist beside the blacklist, entries for classes, and the ledger of consents, which refuses update and delete."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER consent_is_append_only BEFORE UPDATE OR DELETE ON users_consentrecord
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""
DROP = "DROP TRIGGER consent_is_append_only ON users_consentrecord;"


class Migration(migrations.Migration):
    dependencies = [
        ("operators", "0002_audit_is_append_only"),
        ("partners", "0003_what_a_line_holds_to"),
        ("users", "0006_one_entry_a_subject"),
    ]

    operations = [
        migrations.CreateModel(
            name="ConsentRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("recipient_id", models.BigIntegerField(null=True)),
                ("address_kind", models.CharField(blank=True, max_length=20, verbose_name="address kind")),
                ("address_hash", models.BinaryField(null=True)),
                ("address_masked", models.CharField(blank=True, max_length=200, verbose_name="address")),
                (
                    "message_class",
                    models.CharField(
                        blank=True,
                        choices=[("otp", "One-time password"), ("transactional", "Notice"), ("marketing", "Marketing")],
                        max_length=20,
                        verbose_name="class",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("given", "given"), ("withdrawn", "withdrawn")], max_length=10, verbose_name="consent"
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("console", "console"),
                            ("api", "API"),
                            ("link", "unsubscribe link"),
                            ("reply", "reply"),
                            ("import", "import"),
                            ("deletion", "kept when the person was deleted"),
                        ],
                        max_length=10,
                        verbose_name="source",
                    ),
                ),
                ("evidence", models.CharField(max_length=500, verbose_name="evidence")),
                ("reference", models.CharField(blank=True, max_length=100, verbose_name="reference")),
                ("actor", models.CharField(max_length=200, verbose_name="recorded by")),
                ("at", models.DateTimeField(verbose_name="at")),
            ],
            options={
                "verbose_name": "consent record",
                "verbose_name_plural": "consent records",
            },
        ),
        migrations.AlterModelOptions(
            name="blacklistentry",
            options={"verbose_name": "blacklist entry", "verbose_name_plural": "blacklist and whitelist"},
        ),
        migrations.AddField(
            model_name="blacklistentry",
            name="classes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[("otp", "One-time password"), ("transactional", "Notice"), ("marketing", "Marketing")],
                    max_length=20,
                ),
                blank=True,
                db_default=[],
                default=list,
                size=None,
                verbose_name="message classes",
            ),
        ),
        migrations.AddField(
            model_name="blacklistentry",
            name="effect",
            field=models.CharField(
                choices=[("block", "blacklist"), ("allow", "whitelist")],
                db_default="block",
                default="block",
                max_length=10,
                verbose_name="list",
            ),
        ),
        migrations.AddField(
            model_name="blacklistentry",
            name="origin",
            field=models.CharField(
                choices=[("operator", "entered"), ("consent", "consent withdrawn")],
                db_default="operator",
                default="operator",
                max_length=10,
                verbose_name="origin",
            ),
        ),
        migrations.AddField(
            model_name="peopleimport",
            name="entries_added",
            field=models.BigIntegerField(db_default=0, default=0, verbose_name="entries added"),
        ),
        migrations.AddField(
            model_name="peopleimport",
            name="entries_changed",
            field=models.BigIntegerField(db_default=0, default=0, verbose_name="entries changed"),
        ),
        migrations.AddField(
            model_name="peopleimport",
            name="entries_unchanged",
            field=models.BigIntegerField(db_default=0, default=0, verbose_name="entries unchanged"),
        ),
        migrations.AddField(
            model_name="peopleimport",
            name="reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=200, verbose_name="reason"),
        ),
        migrations.AddField(
            model_name="peopleimport",
            name="sort",
            field=models.CharField(
                choices=[("people", "people"), ("block", "blacklist"), ("allow", "whitelist")],
                db_default="people",
                default="people",
                max_length=10,
                verbose_name="what it holds",
            ),
        ),
        migrations.AddIndex(
            model_name="blacklistentry",
            index=models.Index(condition=models.Q(("effect", "allow")), fields=["effect"], name="blacklist_allowed"),
        ),
        migrations.AddConstraint(
            model_name="blacklistentry",
            constraint=models.UniqueConstraint(
                fields=("recipient", "address_hash", "effect", "scope", "scope_id", "origin", "classes"),
                name="blacklist_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddField(
            model_name="consentrecord",
            name="business_line",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="partners.businessline",
                verbose_name="business line",
            ),
        ),
        migrations.AddIndex(
            model_name="consentrecord",
            index=models.Index(
                condition=models.Q(("recipient_id__isnull", False)),
                fields=["recipient_id", "-id"],
                name="consent_of_person",
            ),
        ),
        migrations.AddIndex(
            model_name="consentrecord",
            index=models.Index(
                condition=models.Q(("address_hash__isnull", False)),
                fields=["address_hash", "-id"],
                name="consent_of_address",
            ),
        ),
        migrations.AddConstraint(
            model_name="consentrecord",
            constraint=models.CheckConstraint(
                condition=models.Q(("recipient_id__isnull", False), ("address_hash__isnull", False), _connector="OR"),
                name="consent_has_subject",
            ),
        ),
        migrations.RunSQL(APPEND_ONLY, DROP),
    ]
