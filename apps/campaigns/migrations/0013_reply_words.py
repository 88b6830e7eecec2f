"""The words that people in this country know: TD, T, R, N to stop, HD to hear again; words of complaint are counted."""

from django.db import migrations

WORDS = {
    "unsubscribe": [
        ("TD", True),
        ("T", True),
        ("R", True),
        ("N", True),
        ("TT", True),
        ("TUIDING", True),
        ("STOP", True),
        ("退订", False),
        ("拒收", False),
        ("UNSUBSCRIBE", False),
    ],
    "subscribe": [("HD", True), ("恢复订阅", False)],
    "complaint": [("投诉", False), ("举报", False), ("12321", False), ("骚扰", False), ("垃圾短信", False)],
}


def add(apps, schema_editor):
    model = apps.get_model("campaigns", "ReplyWord")
    made = [model(word=word, meaning=meaning, whole=whole) for meaning, words in WORDS.items() for word, whole in words]
    model.objects.bulk_create(made, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0012_replies")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
