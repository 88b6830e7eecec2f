"""Rules of approval that add up what calls over the API ask for."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0025_address_came"), ("templates", "0004_sensitive_words")]

    operations = [
        migrations.AddField(
            model_name="approvalrule",
            name="over_day",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Calls over the API are compared together with those of the last 24 hours of the same business line "
                "and template, so that many small ones are one large one.",
                verbose_name="add up what calls ask for",
            ),
        ),
        migrations.CreateModel(
            name="AskedFor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField()),
                ("targets", models.BigIntegerField()),
                ("money", models.DecimalField(decimal_places=2, max_digits=18)),
                (
                    "business_line",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="partners.businessline"
                    ),
                ),
                (
                    "template",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="templates.messagetemplate"),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("business_line", "template", "hour"), name="askedfor_once")
                ]
            },
        ),
    ]
