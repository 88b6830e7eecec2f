"""An answer that cannot be carried out is tried some times and then told, so that it holds up nobody."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0020_address_classes"),
    ]

    operations = [
        migrations.AddField(
            model_name="reply",
            name="tries",
            field=models.SmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AlterField(
            model_name="reply",
            name="deed",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "nothing"),
                    ("unsubscribed", "unsubscribed"),
                    ("subscribed", "subscribed again"),
                    ("overtaken", "nothing: a later answer counts"),
                    ("failed", "could not be carried out: do it by hand"),
                ],
                max_length=12,
                verbose_name="done",
            ),
        ),
    ]
