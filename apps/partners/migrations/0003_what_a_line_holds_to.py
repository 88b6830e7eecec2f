"""A line may write to the whitelist only, and may need consent for marketing."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("partners", "0002_what_a_key_may"),
    ]

    operations = [
        migrations.AddField(
            model_name="businessline",
            name="consent_required",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Marketing goes only to people whose consent is on record.",
                verbose_name="marketing needs consent",
            ),
        ),
        migrations.AddField(
            model_name="businessline",
            name="whitelist_only",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Trial operation: only people and addresses on the whitelist are written to.",
                verbose_name="whitelist only",
            ),
        ),
    ]
