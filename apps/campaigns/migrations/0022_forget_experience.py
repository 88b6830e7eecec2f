"""Whoever is deleted takes what was learned of them along."""

from django.db import migrations

FORGET = """
CREATE FUNCTION forget_experience() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM campaigns_personexperience e USING gone WHERE e.recipient_id = gone.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_experience AFTER DELETE ON users_recipient
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_experience();
"""
REMEMBER = "DROP TRIGGER forget_experience ON users_recipient; DROP FUNCTION forget_experience();"


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0021_reply_tries")]

    operations = [migrations.RunSQL(FORGET, REMEMBER)]
